"""From an experiment's files of one template to those of a newer one: what differs, and the exchange.

Three versions of a file decide: as it was stamped, as it is here, as the newer template has it. What a person changed here is
kept where the template did not change it too, and is never overwritten without a copy in upgrade-kept/.
"""

import ctypes
import difflib
import itertools
import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftexp import __version__
from ftexp.ground import paths
from ftexp.ground.filesystem import read_json, sha256_file, write_json
from ftexp.life.template_files import files_of_experiment, files_of_template, template_commit

KEPT_DIR = Path("upgrade-kept")
_BEFORE = paths.UPGRADE_DIR / "scripts.before"
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


@dataclass(frozen=True)
class Upgrade:
    """What an upgrade does to the files.

    Attributes:
        template: Folder of the newer template.
        before: template.json as it is here.
        new: Files to write, by name, with where the newer template has them.
        gone: Files that the newer template no longer has.
        edited: Those of `new` and `gone` that a person changed here since they were stamped.
        kept: Files that a person changed here, and the template did not.
    """

    template: Path
    before: dict[str, Any]
    new: dict[str, Path]
    gone: list[str]
    edited: list[str]
    kept: list[str]

    @property
    def is_known(self) -> bool:
        """Whether template.json says what was stamped; an older template did not write it."""
        return "files" in self.before


def compare(template: Path) -> Upgrade:
    """What differs between this experiment and a template."""
    before = read_json(paths.TEMPLATE_JSON) if paths.TEMPLATE_JSON.is_file() else {}
    stamped, here, there = before.get("files", {}), files_of_experiment(), files_of_template(template)
    hashes = {name: sha256_file(path) for name, path in there.items()}
    differing = [name for name in there if here.get(name) != hashes[name]]
    kept = [name for name in differing if name in stamped and name in here and stamped[name] == hashes[name]]
    new = {name: there[name] for name in differing if name not in kept}
    gone = [name for name in stamped if name not in there and name in here]
    edited = [name for name in (*new, *gone) if name in here and stamped and here[name] != stamped.get(name)]
    return Upgrade(template, before, new, gone, edited, kept)


def changes_in_words(upgrade: Upgrade) -> list[str]:
    """A line per file: what was added, how many lines changed, what goes."""
    lines = []
    for name, source in upgrade.new.items():
        new = source.read_text(encoding="utf-8", errors="replace").splitlines()
        if not Path(name).is_file():
            lines.append(f"{name}: new, {len(new)} lines")
            continue
        old = Path(name).read_text(encoding="utf-8", errors="replace").splitlines()
        marks = [line[0] for line in difflib.unified_diff(old, new, n=0, lineterm="")][2:]
        lines.append(f"{name}: +{marks.count('+')} -{marks.count('-')}")
    return lines + [f"{name}: removed" for name in upgrade.gone]


def versions_in_words(upgrade: Upgrade) -> str:
    """Version and commit, old and new."""
    commit = template_commit(upgrade.template)
    old = _version(upgrade.before.get("version"), upgrade.before.get("commit"))
    return f"template {old} -> {_version(__version__, commit)}"


def _version(version: str | None, commit: str | None) -> str:
    short = re.sub(r"^([0-9a-f]{10})[0-9a-f]{30}", r"\1", commit or "")
    return f"{version or 'not known'} ({short or 'commit not known'})"


def packages_in_words(upgrade: Upgrade) -> list[str]:
    """A line per package of the lock that changes."""
    lock = upgrade.new.get("requirements.txt")
    if lock is None:
        return []
    old, new = _pins(Path("requirements.txt")), _pins(lock)
    return [f"{name} {old.get(name, 'not there')} -> {new.get(name, 'not there')}"
            for name in sorted({*old, *new}) if old.get(name) != new.get(name)]


def _pins(lock: Path) -> dict[str, str]:
    text = lock.read_text(encoding="utf-8") if lock.is_file() else ""
    pins = re.findall(r"(?m)^([A-Za-z0-9._-]+)==([^ ;#\n]+)", text)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pins}


def apply(upgrade: Upgrade) -> None:
    """Bring the newer files in. Killed anywhere, the next call finds what is still to be done; scripts/ changes as a whole."""
    for name in upgrade.edited if upgrade.is_known else [name for name in upgrade.new if Path(name).is_file()]:
        copy = _kept_path(name)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(name, copy)
    shutil.rmtree(paths.UPGRADE_DIR, ignore_errors=True)
    paths.UPGRADE_DIR.mkdir(parents=True)
    if any(name.startswith("scripts/") for name in (*upgrade.new, *upgrade.gone)):
        _exchange(_new_scripts(upgrade), Path("scripts"))
    for name, source in upgrade.new.items():
        if not name.startswith("scripts/"):
            _place(source, Path(name))
    for name in upgrade.gone:
        Path(name).unlink(missing_ok=True)
    record(upgrade.template)
    shutil.rmtree(paths.UPGRADE_DIR)


def _kept_path(name: str) -> Path:
    """Where a copy of the file goes, or is already; never over another one."""
    for number in itertools.count(1):
        copy = (KEPT_DIR if number == 1 else KEPT_DIR / str(number)) / name
        if not copy.exists() or sha256_file(copy) == sha256_file(Path(name)):
            return copy
    raise AssertionError("numbers do not end")


def record(template: Path) -> None:
    """Write template.json: version and commit, and the hash of every file as the template has it."""
    stamped = {name: sha256_file(path) for name, path in files_of_template(template).items()}
    write_json(paths.TEMPLATE_JSON, {"version": __version__, "commit": template_commit(template), "files": stamped})


def restore_interrupted() -> None:
    """Put scripts/ back where a kill came between the two steps of an exchange."""
    if not Path("scripts").exists() and _BEFORE.is_dir():
        os.replace(_BEFORE, "scripts")


def _new_scripts(upgrade: Upgrade) -> Path:
    """scripts/ as it will be, a person's own files in it among them."""
    folder = paths.UPGRADE_DIR / "scripts"
    shutil.copytree("scripts", folder, ignore=shutil.ignore_patterns("__pycache__", ".*_cache"))
    for name, source in upgrade.new.items():
        if name.startswith("scripts/"):
            _place(source, paths.UPGRADE_DIR / name)
    for name in upgrade.gone:
        (paths.UPGRADE_DIR / name).unlink(missing_ok=True)
    return folder


def _place(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.upgrade")
    shutil.copy2(source, aside)
    os.replace(aside, target)


def _exchange(new: Path, old: Path) -> None:
    """Two folders change places, in one step where the file system can, else in two."""
    if not _exchange_at_once(new, old):
        print(f"upgrade: should this be killed right now: mv {_BEFORE} {old}", file=sys.stderr, flush=True)
        os.replace(old, _BEFORE)
        os.replace(new, old)


def _exchange_at_once(new: Path, old: Path) -> bool:
    """By Linux's `renameat2`, which network file systems may not have; whether it was done."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "renameat2"):
        return False
    return bool(libc.renameat2(_AT_FDCWD, os.fsencode(new), _AT_FDCWD, os.fsencode(old), _RENAME_EXCHANGE) == 0)
