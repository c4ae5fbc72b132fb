"""What need not be computed twice: hashes of large files, and documents that were parsed, by size, times and inode."""

import hashlib
import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ftexp.ground.filesystem import identity, is_at_rest, sha256_file, sha256_json, sha256_text, write_if_changed
from ftexp.ground.yamlfile import load_yaml

# A smaller file is hashed faster than its memory is kept; a log of 250 answers is five times as large.
_WORTH_REMEMBERING_BYTES = 100_000


class FileHashes:
    """SHA-256 of files, large ones remembered by size, times and inode, so that a 16 GB model is read once.

    The memory is one JSON file, `{path: [size_bytes, mtime_ns, ctime_ns, inode, sha256]}`; losing it costs time, nothing else.
    """

    def __init__(self, memory_path: Path) -> None:
        self._memory_path = memory_path
        self._known: dict[str, list[Any]] = _read_memory(memory_path)
        self._changed = False

    def of(self, path: Path) -> str:
        """SHA-256 of the file at `path` (a link is followed)."""
        if path.stat().st_size < _WORTH_REMEMBERING_BYTES:
            return sha256_file(path)
        return self.remembered(str(path), path, lambda: sha256_file(path))

    def of_yaml(self, path: Path, places: Sequence[str] = ()) -> str:
        """SHA-256 of what a YAML file says; comments do not count. Remembered: parsing takes some milliseconds.

        Args:
            places: Where files lie that are hashed themselves: as values they count as any other places would.
        """
        key = f"yaml:{' '.join(places)}:{path}"
        return self.remembered(key, path, lambda: sha256_json(_without(places, load_yaml(path, str(path)))))

    def of_part(self, path: Path, name: str, part: Callable[[str], str], places: list[str]) -> str:
        """SHA-256 of a part of a text in UTF-8, in which places of files that are hashed themselves count as any others would.

        It is remembered by the part's name, as the text may be parsed for it.
        """
        def digest() -> str:
            return sha256_text(_without_places(part(path.read_text(encoding="utf-8")), places))

        return self.remembered(f"part:{name}:{' '.join(places)}:{path}", path, digest)

    def of_lines(self, path: Path, count: int) -> str:
        """SHA-256 of the first lines of a file, of all where there are fewer."""
        return self.remembered(f"lines:{count}:{path}", path, lambda: _sha256_of_lines(path, count))

    def remembered(self, key: str, path: Path, compute: Callable[[], str]) -> str:
        """A text that follows from a file's content: computed, or as it was while the file stayed as it is."""
        known, now = self._known.get(key), identity(path)
        if known and known[:-1] == now:
            return str(known[-1])
        digest = compute()
        if is_at_rest(now):
            self._known[key] = [*now, digest]
            self._changed = True
        return digest

    def of_folder(self, folder: Path, names: list[str] | None = None) -> dict[str, str]:
        """SHA-256 per file below `folder`, by relative name; only `names` where given."""
        wanted = names if names is not None else sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
        return {name: self.of(folder / name) for name in wanted}

    def of_own_code(self, path: Path) -> str:
        """SHA-256 of a file of one's own; where it has a folder of its own, of all that lies there: modules and data."""
        if path.parent == Path():
            return self.of(path)
        names = [str(each.relative_to(path.parent)) for each in sorted(path.parent.rglob("*")) if each.is_file()]
        kept = [name for name in names if not any(part == "__pycache__" or part.startswith(".") for part in Path(name).parts)]
        return sha256_json([path.name, self.of_folder(path.parent, kept)])

    def save(self) -> None:
        """Write the memory where something new was hashed."""
        if self._changed:
            merged = _read_memory(self._memory_path) | self._known
            write_if_changed(self._memory_path, json.dumps(merged))
            self._changed = False


class YamlMemory:
    """YAML documents that were read before, by size, times and inode: parsing a thousand takes seconds.

    One JSON file, `{path: [size_bytes, mtime_ns, ctime_ns, inode, document]}`; losing it costs time, nothing else.
    """

    def __init__(self, memory_path: Path) -> None:
        self._memory_path = memory_path
        self._known = _read_memory(memory_path)
        self._used: dict[str, list[Any]] = {}

    def load(self, path: Path) -> Any:
        """The document at `path`, as `load_yaml` gives it."""
        if not path.is_file():
            return load_yaml(path, str(path))
        now = identity(path)
        known = self._known.get(str(path))
        if not (known and known[:-1] == now):
            known = [*now, load_yaml(path, str(path))]
        if is_at_rest(now):
            self._used[str(path)] = known
        return known[-1]

    def save(self) -> None:
        """Keep what was loaded, where it is new."""
        if self._used != self._known:
            write_if_changed(self._memory_path, json.dumps(self._used, ensure_ascii=False))


def _without_places(text: str, places: list[str]) -> str:
    for number, place in enumerate(places):
        text = text.replace(repr(place), f"<place {number}>")
    return text


def _without(places: Sequence[str], value: Any) -> Any:
    """A document in which a text stands for no place."""
    if isinstance(value, dict):
        return {key: _without(places, inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without(places, inner) for inner in value]
    return "" if value in places else value


def _sha256_of_lines(path: Path, count: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for line in itertools.islice(file, count):
            digest.update(line)
    return digest.hexdigest()


def _read_memory(path: Path) -> dict[str, list[Any]]:
    """An unreadable memory is an empty one: it is only ever a shortcut."""
    try:
        known: dict[str, list[Any]] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return known
