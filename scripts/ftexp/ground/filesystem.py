"""Files: written aside and renamed, hashed once, never half there."""

import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TextIO

# The kernel's clock of files goes in ticks of up to 10 ms.
_TICK_NS = 20_000_000


def write_if_changed(path: Path, text: str) -> bool:
    """Write `text` aside, then rename; leave the file (and its time) alone where the bytes are the same.

    Returns:
        Whether the file was written.
    """
    return write_bytes_if_changed(path, text.encode("utf-8"))


def write_bytes_if_changed(path: Path, data: bytes) -> bool:
    """The same for bytes."""
    if path.is_file() and path.read_bytes() == data:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        aside.write_bytes(data)
        os.replace(aside, path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error  # a full disk names no file
    return True


def follow_umask(folder: Path) -> None:
    """Give a folder and all in it the modes that the umask says; a library may have made them for their owner alone."""
    kept = os.umask(0o077)  # it can be asked by setting it only; nothing that another thread makes meanwhile is open to all
    os.umask(kept)
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod((0o777 if path.is_dir() else 0o666) & ~kept | path.stat().st_mode & 0o7000)


def identity(path: Path) -> list[int]:
    """Size, times and inode of a file: others after any change, whatever a clock or a tool did to its modification time."""
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


@contextmanager
def log_to(path: Path) -> Iterator[None]:
    """Send what this process and its children print into a file, for a while."""
    streams = (sys.stdout, sys.stderr)
    saved = [os.dup(stream.fileno()) for stream in streams]
    with path.open("wb") as file:
        _point(streams, [file.fileno()] * len(streams))
        try:
            yield
        finally:
            _point(streams, saved)
    for descriptor in saved:
        os.close(descriptor)


def _point(streams: tuple[TextIO, ...], descriptors: list[int]) -> None:
    """Every stream to its descriptor, even where a full disk does not take the last words of one."""
    with ExitStack() as stack:
        for stream, descriptor in zip(streams, descriptors, strict=True):
            stack.callback(os.dup2, descriptor, stream.fileno())
            stack.callback(stream.flush)


def write_json(path: Path, value: Any) -> bool:
    """Write `value` as indented JSON with a stable order; return whether the bytes changed."""
    return write_if_changed(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file that the project wrote itself."""
    return json.loads(path.read_text(encoding="utf-8"))


def sha256_text(text: str) -> str:
    """Hexadecimal SHA-256 of UTF-8 text."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def sha256_json(value: Any) -> str:
    """Hexadecimal SHA-256 of a value's canonical JSON."""
    return sha256_text(json.dumps(value, sort_keys=True, ensure_ascii=False, default=str))


def sha256_file(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_mapping(path: Path, keys: tuple[str, ...]) -> dict[str, Any] | None:
    """A file that is cut short counts as absent: what it would say is not known."""
    try:
        content = read_json(path)
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
        return None
    if not isinstance(content, dict) or any(key not in content for key in keys):
        return None
    return content


def is_at_rest(identity: list[int]) -> bool:
    """Whether a file last changed so long ago that a further change would give it another time."""
    return abs(time.time_ns() - identity[2]) > _TICK_NS
