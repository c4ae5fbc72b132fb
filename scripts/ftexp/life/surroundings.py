"""Is the place of an experiment fit to keep it? Asked before anything is spent: git, DVC, links, and what cannot be written."""

import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from ftexp.design.run import Run
from ftexp.ground import paths
from ftexp.ground.errors import UserError
from ftexp.ground.filesystem import read_json
from ftexp.ground.wording import first_of
from ftexp.life.template_files import SINGLE_FILES

_DVC_FOLDERS = (".dvc", ".dvc/tmp", ".dvc/cache", ".dvc/cache/files", ".dvc/cache/files/md5")
_DVC_CONFIG = Path(".dvc/config")
_SHOWN = 3
_UNRECORDED = "so that nothing could be recorded. Run `make setup`."


@dataclass
class Surroundings:
    """What is wrong with the place, a line each, and what one should know of it."""

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def require_surroundings(runs: list[Run]) -> list[str]:
    """The warnings about the place of the experiment in the working folder.

    Raises:
        UserError: If it cannot keep what is made; with every reason.
    """
    found = Surroundings(_missing_repositories() + _not_writable(runs))
    kept = kept_in_git(runs)
    for link in filter(Path.is_symlink, dict.fromkeys(part for path in kept for part in [*reversed(path.parents), path])):
        if link.is_dir():
            cure = "Make it a folder; an experiment that is too large for this disk goes to another as a whole"
            what = f"is a link to {os.readlink(link)}, and git keeps a link without what is behind it"
            found.errors.append(f"{link}: {what}. {cure}.")
        else:
            what = f"is a link to {os.readlink(link)}: git keeps the link alone, and a clone needs the file there"
            found.warnings.append(f"{link}: {what}. Better copy it here")
    if not found.errors and not _is_without_git():
        found.errors += _hidden_from_git(kept)
    if found.errors:
        raise UserError("\n".join(found.errors))
    return found.warnings


def kept_in_git(runs: list[Run]) -> list[Path]:
    """What git is to hold of the experiment, whether it is there yet or not."""
    brought = read_json(paths.TEMPLATE_JSON).get("files", SINGLE_FILES) if paths.TEMPLATE_JSON.is_file() else SINGLE_FILES
    files = [
        paths.EXPERIMENT_YAML, paths.SITE_YAML, paths.README, paths.RUNS_CSV, paths.PREFLIGHT_JSON, *paths.REPORT_FILES,
        paths.EVENTS_JSONL, paths.CODE_JSON, paths.ROOT_DVC_YAML, paths.ROOT_DVC_LOCK, paths.TEMPLATE_JSON, _DVC_CONFIG,
        paths.FIGURES_DIR / "curves.svg", paths.FIGURES_DIR / "curves.png", *map(Path, brought),
    ]
    for run in runs:
        places = paths.RunPaths(run.id)
        files += [places.run_yaml, places.eval_py, places.dvc_yaml, places.dvc_lock, places.manifest("eval")]
        files += [paths.METRICS_DIR / f"{run.id}.json"]
        if run.kind == "trained":
            files += [places.finetune_yaml, places.train_csv, places.manifest("train")]
            files += [places.validation_csv] if run.validation else []
        files += [path for path in map(Path, map(os.path.normpath, run.data_files)) if is_inside(path)]
    return list(dict.fromkeys(files))


def is_inside(path: Path) -> bool:
    """Whether a path lies in the experiment's folder by its words."""
    return not path.is_absolute() and ".." not in path.parts


def _missing_repositories() -> list[str]:
    """Git and DVC, by which an experiment is kept."""
    if not _DVC_CONFIG.is_file():
        return [f".dvc: is missing, {_UNRECORDED}"]
    if _is_without_git():
        return []
    said = _git("rev-parse", "--show-toplevel")
    return [not_usable_git(said.stderr) or f"git: this folder is in no repository, {_UNRECORDED}"] if said.returncode else []


def _is_without_git() -> bool:
    """Whether DVC was told by a person (`dvc init --no-scm`) that there is no git."""
    return re.search(r"(?mi)^\s*no_scm\s*=\s*true", _DVC_CONFIG.read_text(encoding="utf-8", errors="replace")) is not None


def not_usable_git(said: str) -> str | None:
    """What to say where git refuses a repository that is there; None where there is none."""
    if "not a git repository" in said:
        return None
    return f"git: {' '.join(said.split())}. Cure that, and run the same command again."


def _git(*arguments: str, given: str = "") -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "LC_ALL": "C"}
    return subprocess.run(["git", *arguments], input=given, capture_output=True, text=True, check=False, env=environment)


def _hidden_from_git(kept: list[Path]) -> list[str]:
    """Files that git ignores, by the line that makes it do so; a file that it holds already is none."""
    result = _git("check-ignore", "--stdin", "-z", "--verbose", given="\0".join(map(str, kept)))
    if result.returncode > 1:
        return [not_usable_git(result.stderr) or result.stderr]
    words = result.stdout.split("\0")
    hidden = dict[tuple[str, str, str], list[str]]()
    for source, line, pattern, name in zip(*(words[start:-1:4] for start in range(4)), strict=True):
        if not pattern.startswith("!"):
            hidden.setdefault((source, line, pattern), []).append(name)
    cure = "Take that line out; or take .gitignore from the template again (`make upgrade`), which takes it back"
    return [
        f"{source}: line {line}: {pattern}: hides from git what the experiment keeps there: {first_of(names, _SHOWN)}. {cure}."
        for (source, line, pattern), names in hidden.items()
    ]


def _not_writable(runs: list[Run]) -> list[str]:
    """Folders and files that stages write, and cannot."""
    folders = [Path(), paths.RUNS_DIR, Path("data"), paths.SPLITS_DIR, paths.FIGURES_DIR, paths.METRICS_DIR, paths.LOGS_DIR]
    folders += [Path(".scratch"), *Path(".scratch").glob("*/"), *paths.SPLITS_DIR.glob("*/"), *map(Path, _DVC_FOLDERS)]
    files = [paths.EVENTS_JSONL, paths.TIMINGS_CSV, paths.ROOT_DVC_LOCK]
    for run in runs:
        places = paths.RunPaths(run.id)
        folders += [places.dir, places.checkpoint_dir, places.eval_dir]
        files.append(places.dvc_lock)
    bad = [path for path in folders if path.is_dir() and not os.access(path, os.W_OK | os.X_OK)]
    bad += [path for path in files if path.is_file() and not os.access(path, os.W_OK)]
    if not bad:
        return []
    is_read_only = bool(os.statvfs(bad[0]).f_flag & os.ST_RDONLY)
    why = "lies on a file system that is read-only" if is_read_only else "cannot be written by you"
    names = [str(path.absolute() if path == Path() else path) for path in bad]
    return [f"{first_of(names, _SHOWN)}: {why}. Get the permission, or copy the experiment to a place of yours."]
