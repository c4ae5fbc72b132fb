"""The files that an experiment has from its template and that no person writes: which they are, and what they were at first.

What holds an answer (README.md) or a decision (experiment.yaml, site.yaml) is the experiment's own. Only the standard library.
"""

import json
import subprocess
from pathlib import Path

from ftexp.ground.filesystem import sha256_file

STAMPED_DIR = "{{cookiecutter.experiment_name}}"
_SCRIPTS = "scripts"
# Those of cookiecutter.json's _copy_without_render that are no folder (a test).
SINGLE_FILES = ("Makefile", "job.slurm.template", "requirements.txt", ".gitignore", ".gitattributes", ".dvcignore")


def is_template(folder: Path) -> bool:
    """Whether a folder is a template of ftexp's, and no experiment."""
    return (folder / STAMPED_DIR / "Makefile").is_file() and (folder / _SCRIPTS / "ftexp" / "__init__.py").is_file()


def files_of_template(template: Path) -> dict[str, Path]:
    """Every file that the template copies as it is, by the name that it has in an experiment."""
    names = json.loads((template / "cookiecutter.json").read_text(encoding="utf-8"))["_copy_without_render"]
    singles = {name: template / STAMPED_DIR / name for name in names if name != _SCRIPTS}
    return {**singles, **{f"{_SCRIPTS}/{path.relative_to(template / _SCRIPTS)}": path for path in _scripts(template / _SCRIPTS)}}


def _scripts(folder: Path) -> list[Path]:
    """Files below scripts/, without what tools left there."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return [path for path in files if not any("cache" in part for part in path.relative_to(folder).parts[:-1])]


def files_of_experiment() -> dict[str, str]:
    """SHA-256 by name of every file here that a template has copied, or that lies beside one in scripts/."""
    files = [path for path in map(Path, SINGLE_FILES) if path.is_file()] + _scripts(Path(_SCRIPTS))
    return {str(path): sha256_file(path) for path in files}


def template_commit(template: Path) -> str | None:
    """The template's commit, with `-dirty` where it is changed; None outside git."""
    command = ["git", "-C", str(template), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return result.stdout.strip() or None
