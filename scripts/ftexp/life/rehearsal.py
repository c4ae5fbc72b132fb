"""The folder of a rehearsal: a copy of the experiment with tiny models, a small design and a site that is this machine's CPU.

Made anew each time; what it holds of the experiment are copies, and links to the data.
"""

import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ftexp.data.splits import VALIDATION
from ftexp.design.run import STAGES, Run
from ftexp.ground import paths
from ftexp.ground.cores import available_cores
from ftexp.ground.errors import UserError
from ftexp.ground.filesystem import read_json, read_mapping, sha256_text, write_if_changed, write_json
from ftexp.ground.yamlfile import dump_yaml, load_yaml
from ftexp.life.tiny_copy import make_tiny_copy
from ftexp.models.folder import weight_files
from ftexp.state.run_lock import lock_file

LOG = paths.REHEARSAL_DIR / "rehearsal.log"
TEST_ROWS = 8
# A login node belongs to others too: so many runs at a time, on so many cores each at most.
JOBS, _MOST_THREADS = 2, 4
MODELS_DIR = Path("data/models")
_COPIED = (
    Path("Makefile"), Path("requirements.txt"), Path(".gitignore"), Path(".dvcignore"), paths.JOB_TEMPLATE, paths.TEMPLATE_JSON,
)
# Written by the stages, or anew by the rehearsal; what else lies beside experiment.yaml a job script may want.
_NOT_LINKED = (
    *_COPIED, paths.EXPERIMENT_YAML, paths.SITE_YAML, paths.RUNS_CSV, paths.PREFLIGHT_JSON, *paths.REPORT_FILES,
    paths.SELECTED_CSV,
    paths.ITEMS_PARQUET, paths.TIMINGS_CSV, paths.EVENTS_JSONL, paths.CODE_JSON, paths.ROOT_DVC_YAML, paths.ROOT_DVC_LOCK,
)
# A Slurm allocation, another make, a git hook, DVC or a job that this is called from must not reach the rehearsal's commands.
_FOREIGN = ("SLURM_", "MAKE", "GIT_", "DVC_", "FTEXP_")
_OPTIONS = ("ONLY", "DRY", "YES", "MFLAGS")
_LAST_LINES = 40
_LAST_LINES_OF_JOB = 15


@dataclass(frozen=True)
class Ended:
    """A command of the rehearsal that has ended.

    Attributes:
        output: What it printed, stdout and stderr together.
    """

    code: int
    seconds: float
    output: str


def open_folder() -> IO[str]:
    """An empty folder for the rehearsal, as its log, opened for writing and locked until the last command that writes it ends.

    Raises:
        UserError: If a rehearsal is under way, or a folder of this name is somebody else's.
    """
    folder = paths.REHEARSAL_DIR
    if folder.exists() and not LOG.is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: was not made by `make rehearse`, which would empty it. Move it away.")
    folder.mkdir(exist_ok=True)
    log = LOG.open("a", encoding="utf-8")
    try:
        lock_file(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        log.close()
        raise UserError(f"{folder}: a rehearsal is under way, or what a killed one began still ends. Wait a moment.") from error
    for entry in folder.iterdir():
        if entry.name != LOG.name:
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    log.truncate(0)
    return log


def fill_folder(document: dict[str, Any], site: dict[str, Any], runs: list[Run], own_files: Sequence[str] = ()) -> None:
    """Write everything that the stages start from, the tiny models too.

    Args:
        document: experiment.yaml, made small.
        site: site.yaml, made local.
        own_files: The files of scorers and tasks of one's own, of which those beside them are needed too.

    Raises:
        UserError: With what is wrong with the real models' folders.
    """
    folder = paths.REHEARSAL_DIR
    _make_models(sorted({str(run.settings["model"]) for run in runs}))
    shutil.copytree("scripts", folder / "scripts", ignore=shutil.ignore_patterns("__pycache__", ".*_cache"))
    for path in _COPIED:
        if path.is_file():
            shutil.copyfile(path, folder / path)
    beside = [path for path in Path().iterdir() if path.is_file() and path not in _NOT_LINKED and not path.name.startswith(".")]
    sources = {path for run in runs for path in run.data_files} | _files_of_own(own_files)
    for path in [*beside, *(path for path in sources if not os.path.isabs(path) and not os.path.normpath(path).startswith(".."))]:
        link = folder / os.path.normpath(path)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path.absolute())
    write_if_changed(folder / paths.EXPERIMENT_YAML, dump_yaml(document))
    write_if_changed(folder / paths.SITE_YAML, dump_yaml(site))


def _files_of_own(files: Sequence[str]) -> set[Path]:
    """Files of one's own with all that lies in their folders, as far as these are not the experiment's root."""
    folders = {Path(file).parent for file in files} - {Path()}
    return {path for folder in folders for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts}


def _make_models(models: list[str]) -> None:
    messages = []
    for model in models:
        try:
            make_tiny_copy(paths.model_dir(model), paths.REHEARSAL_DIR / MODELS_DIR / model)
        except UserError as error:
            messages.append(str(error))
    if messages:
        raise UserError("\n".join(messages))


def models_without_weights(runs: list[Run]) -> list[str]:
    """Models whose weights are not here, or not all; a rehearsal does not need them."""
    absent = []
    for model in sorted({str(run.settings["model"]) for run in runs}):
        try:
            weight_files(paths.model_dir(model))
        except UserError:
            absent.append(model)
    return absent


def local_site(document: dict[str, Any], *, has_modules: bool) -> dict[str, Any]:
    """site.yaml for this machine's CPU: without GPUs, sizes of models and an environment to make; the rest as it is.

    Args:
        has_modules: Whether this machine knows environment modules; on another they are left out.
    """
    left_out = ("venv", "conda", "sizes", "wandb_project", *(() if has_modules else ("modules",)))
    site = {key: value for key, value in document.items() if key not in left_out}
    for stage in STAGES:
        if site.get(stage):
            site[stage] = {**site[stage], "gpus": 0}
    return {**site, "backend": "local", "models": str(MODELS_DIR), "device": "cpu", "jobs": JOBS}


def has_environment_modules() -> bool:
    """Whether a job script on this machine could say `module load`."""
    return subprocess.run(["bash", "-c", "type module"], capture_output=True, check=False).returncode == 0


def trim_test_rows() -> None:
    """Keep a few rows of every set that tests or validates, evenly spaced, so that groups and clusters stay many."""
    folder = paths.REHEARSAL_DIR / paths.SPLITS_DIR
    for path in sorted(path for part in ("test", VALIDATION) for path in folder.glob(f"*/{part}.jsonl")):
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        count = min(TEST_ROWS, len(lines))
        text = "".join(lines[number * len(lines) // count] for number in range(count))
        facts = read_json(path.with_suffix(".json"))
        write_if_changed(path, text)
        write_json(path.with_suffix(".json"), {**facts, "rows": count, "sha256": sha256_text(text)})


def run_make(log: IO[str], words: list[str], runs: list[str]) -> Ended:
    """Run `make` with these words in the rehearsal's folder, for these runs where it takes ONLY; it prints to the log."""
    command = ["make", "--no-print-directory", *words]
    print(f"== {' '.join(command)}", file=log, flush=True)
    start, began = LOG.stat().st_size, time.monotonic()
    result = subprocess.run(
        command, cwd=paths.REHEARSAL_DIR, env=_environment(runs), stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False
    )
    output = LOG.read_bytes()[start:].decode("utf-8", errors="replace")
    return Ended(result.returncode, time.monotonic() - began, output)


def _environment(runs: list[str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN) and name not in _OPTIONS}
    threads = str(min(_MOST_THREADS, max(1, available_cores() // JOBS)))
    ours = {"CUDA_VISIBLE_DEVICES": "", "ONLY": " ".join(runs), "PYTHONDONTWRITEBYTECODE": "1"}
    return {"OMP_NUM_THREADS": threads, **kept, **ours}


def what_failed(ended: Ended) -> str:
    """The last lines of a command's output, and of the log of the first job that failed."""
    lines = ended.output.splitlines()[-_LAST_LINES:]
    for path in sorted((paths.REHEARSAL_DIR / paths.RUNS_DIR).glob("*/*.job.json")):
        log = path.with_name(path.name.replace(".job.json", ".log"))
        if (read_mapping(path, ("state",)) or {}).get("state") == "failed" and log.is_file():
            text = log.read_text(encoding="utf-8", errors="replace")
            lines += ["", f"the end of {log}:", *[line for line in text.splitlines() if line.strip()][-_LAST_LINES_OF_JOB:]]
            break
    return "\n".join(lines)


def read_documents() -> tuple[dict[str, Any], dict[str, Any]]:
    """experiment.yaml and site.yaml as they were written, once both are known to be right."""
    return load_yaml(paths.EXPERIMENT_YAML), load_yaml(paths.SITE_YAML)


def require_sound(runs: list[Run]) -> None:
    """Check that no run of the real design has a problem, which `make validate` would not let pass either.

    Raises:
        UserError: With every run's problems.
    """
    problems = [f"runs/{run.id}: {problem}" for run in runs for problem in run.problems]
    if problems:
        raise UserError("\n".join(problems))
