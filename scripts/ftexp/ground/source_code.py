"""What a Python file of ours says: the digest of its syntax tree, without comments and docstrings, and what it imports."""

import ast
import functools
from pathlib import Path

from ftexp.ground.filesystem import identity, is_at_rest, sha256_json

Reading = tuple[str, tuple[str, ...]]
FTEXP = Path(__file__).parents[1]


def read_source(path: Path) -> Reading:
    """A file's digest and the modules of ours that it imports, parsed once as long as the file stays as it is."""
    now = identity(path)
    return _read_once(path, tuple(now)) if is_at_rest(now) else _read(path)


@functools.cache
def _read_once(path: Path, now: tuple[int, ...]) -> Reading:
    return _read(path)


def _read(path: Path) -> Reading:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return sha256_json(_syntax(tree)), tuple(sorted(name for name in names if name.startswith("ftexp.")))


def _syntax(tree: ast.Module) -> str:
    """The syntax tree as text, without comments and docstrings."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
                node.body = node.body[1:]
    return ast.unparse(tree)
