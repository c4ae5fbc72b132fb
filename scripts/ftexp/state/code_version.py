"""The version of our code, as far as it can change a number: a hash of syntax trees, so comments cost nothing."""

import ast
from pathlib import Path

from ftexp.ground.filesystem import sha256_json

_FTEXP = Path(__file__).parents[1]
_SHARED = ("models/chat.py", "ground/cores.py", "data/splits.py")
_PARTS = {
    "training": (*_SHARED, "trainers/torchtune/process.py", "trainers/torchtune/components"),
    "evaluation": (*_SHARED, "trainers/torchtune/weight_layout.py", "trainers/torchtune/quantized_base.py", "evaluation"),
    "split": ("data/splits.py", "data/tables.py"),
    "checks": ("checks", "trainers/torchtune/checks"),
}


def code_versions() -> dict[str, str]:
    """Twelve digits per part (split, training, evaluation, checks) that change only when its code does."""
    return {part: _version(names) for part, names in _PARTS.items()}


def _version(names: tuple[str, ...]) -> str:
    files = [path for name in names for path in _python_files(_FTEXP / name)]
    return sha256_json({str(path.relative_to(_FTEXP)): _syntax(path) for path in files})[:12]


def _python_files(path: Path) -> list[Path]:
    return sorted(path.glob("*.py")) if path.is_dir() else [path]


def _syntax(path: Path) -> str:
    """The syntax tree as text, without comments and docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
                node.body = node.body[1:]
    return ast.unparse(tree)
