"""Generated files: written only where they changed, remembered, and never over something that was edited by hand."""

from pathlib import Path

from ftexp.ground import paths
from ftexp.ground.errors import UserError
from ftexp.ground.filesystem import read_json, sha256_text, write_if_changed, write_json


def write_generated(files: dict[Path, str]) -> list[Path]:
    """Write what changed, and remember the hashes of what we wrote.

    Returns:
        The files that were written.

    Raises:
        UserError: If a generated file was edited by hand; names every one, and writes nothing.
    """
    known = read_known_hashes()
    edited = [path for path, text in files.items() if _is_edited(path, text, known)]
    if edited:
        raise UserError("\n".join(
            f"{path}: was edited by hand, but is generated. Put the change into experiment.yaml or site.yaml; "
            f"keep a copy of what you need, then delete the file and run `make stamp`." for path in edited
        ))
    hashes = {str(path): sha256_text(text) for path, text in files.items()}
    _remember({**known, **{name: sorted({*known.get(name, []), digest}) for name, digest in hashes.items()}})
    return [path for path, text in files.items() if write_if_changed(path, text)]


def read_known_hashes() -> dict[str, list[str]]:
    """Per generated file the hashes of all that we ever wrote there, so that git may bring back any of it; empty in a clone."""
    return dict(read_json(paths.STAMP_JSON)["files"]) if paths.STAMP_JSON.is_file() else {}


def _remember(files: dict[str, list[str]]) -> None:
    key = read_json(paths.STAMP_JSON).get("key") if paths.STAMP_JSON.is_file() else None
    write_json(paths.STAMP_JSON, {"key": key, "files": files})


def _is_edited(path: Path, text: str, known: dict[str, list[str]]) -> bool:
    if not path.is_file() or str(path) not in known:
        return False
    there = path.read_text(encoding="utf-8", errors="replace")
    return there != text and sha256_text(there) not in known[str(path)]
