"""What an upgrade makes stale, found by trying: the newer scripts plan, stamp and split a copy of the experiment made of links.

Every file of ours is written aside and renamed, so that writing in the copy replaces a link and never what it points to.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ftexp.ground import paths
from ftexp.ground.errors import UserError
from ftexp.ground.yamlfile import dump_yaml, load_yaml
from ftexp.state.status_words import UNDER_WAY

# Run with the scripts of either template on its path.
_STATES = """
import json
from ftexp.design.planning import planned_runs
from ftexp.jobs.backends import work_here
work = work_here()
print(json.dumps([[run.id, stage, *(lambda s: (s.status, s.reason))(work.state(run, stage))]
                  for run in planned_runs() for stage in run.stages]))
"""
# `events.jsonl` is appended to; the others belong to the place, or are no input of a stage.
_NOT_LINKED = (".git", ".dvc", ".venv", ".scratch", "scripts", "models", "rehearsal", "logs", "site.yaml", "events.jsonl")
_LAST_CHARACTERS = 2000
States = dict[tuple[str, str], tuple[str, str]]


def states_here() -> States:
    """Status and reason of every stage of every run, by this experiment's own scripts, stamped first as every target does.

    Raises:
        UserError: If these scripts cannot stamp it.
    """
    _run(Path("scripts"), Path(), [])
    return _states(Path("scripts"), Path())


def require_idle(states: States) -> None:
    """Check that no job is under way, which would go on with half of the old code.

    Raises:
        UserError: If one is.
    """
    busy = sorted({run for (run, _), (status, _) in states.items() if status in UNDER_WAY})
    if busy:
        shown = f"{', '.join(busy[:5])}{', ...' * (len(busy) > 5)}"
        raise UserError(f"runs: {len(busy)} are under way ({shown}). Wait for them, `make wait`, or end them, `make cancel`.")


def preview(template: Path, before: States, job_template: Path | None) -> list[str]:
    """What is done now and would not be after the upgrade, a line per stage and reason; and keys of configs that change.

    Args:
        job_template: The newer template of job scripts, where it comes in.

    Raises:
        UserError: If the newer scripts refuse the experiment, with their message.
    """
    with _copy_of_links(job_template) as folder:
        scripts = template / "scripts"
        _run(scripts, folder, ["split.py"])
        after = _states(scripts, folder)
        keys = _changed_keys(folder, sorted({run for run, _ in before}))
    found: dict[tuple[str, str], int] = defaultdict(int)
    for (run, stage), (status, _) in before.items():
        now, reason = after.get((run, stage), ("gone", "the newer scripts name it otherwise"))
        if status == "done" and now != "done":
            is_later = now == "waiting" and reason.startswith("its training is ")
            found[stage, "after their training" if is_later else f"{now}: {reason}"] += 1
    done = {stage: sum(status == "done" for (_, of), (status, _) in before.items() if of == stage) for _, stage in before}
    lines = [f"{stage}: {count} of {done[stage]} that are done: {why}" for (stage, why), count in found.items()]
    return lines + [f"finetune.yaml: {key}: in {count} runs" for key, count in keys.items()]


def _run(scripts: Path, folder: Path, further: list[str]) -> None:
    """Stamp, and run further verbs, in `folder` by the scripts at `scripts`."""
    for verb, *arguments in (["stamp.py", "--usable"], *([name] for name in further)):
        _python([str(scripts.absolute() / verb), *arguments], folder, scripts)


def _states(scripts: Path, folder: Path) -> States:
    listed = json.loads(_python(["-c", _STATES], folder, scripts))
    return {(run, stage): (status, reason) for run, stage, status, reason in listed}


def _python(arguments: list[str], folder: Path, scripts: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(scripts.absolute()), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *arguments]
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        whose = "this experiment's" if scripts == Path("scripts") else "the newer"
        raise UserError(f"{whose} scripts refuse the experiment:\n{result.stderr.strip()[-_LAST_CHARACTERS:]}")
    return result.stdout


@contextmanager
def _copy_of_links(job_template: Path | None) -> Iterator[Path]:
    """The experiment, every file a link, beside it so that paths that lead out of it still do."""
    here = Path.cwd()
    parent = here.parent if os.access(here.parent, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix=".ftexp-upgrade-", dir=parent))
    try:
        for entry in here.iterdir():
            if entry.name not in _NOT_LINKED:
                _link(entry, folder / entry.name)
        if job_template:
            (folder / paths.JOB_TEMPLATE).unlink(missing_ok=True)
            shutil.copyfile(job_template, folder / paths.JOB_TEMPLATE)
        models = paths.MODELS_LINK.resolve()
        (folder / paths.MODELS_LINK).symlink_to(models)
        (folder / paths.SITE_YAML).write_text(dump_yaml({**load_yaml(paths.SITE_YAML), "models": str(models)}), encoding="utf-8")
        if paths.HASHES_JSON.is_file():
            (folder / paths.HASHES_JSON).parent.mkdir()
            shutil.copyfile(paths.HASHES_JSON, folder / paths.HASHES_JSON)
        yield folder
    finally:
        shutil.rmtree(folder)


def _link(source: Path, target: Path) -> None:
    if not source.is_dir():
        target.symlink_to(source)
        return
    target.mkdir()
    for entry in source.iterdir():
        _link(entry, target / entry.name)


def _changed_keys(folder: Path, runs: list[str]) -> dict[str, int]:
    """Per key of finetune.yaml, in how many runs its value is another in `folder`."""
    found: dict[str, int] = defaultdict(int)
    for run in runs:
        path = paths.RunPaths(run).finetune_yaml
        if not path.is_file() or not (folder / path).is_file() or path.read_bytes() == (folder / path).read_bytes():
            continue
        old, new = (_flat(load_yaml(each, str(path))) for each in (path, folder / path))
        for key in {*old, *new}:
            found[key] += old.get(key, ...) != new.get(key, ...)
    return {key: count for key, count in sorted(found.items()) if count}


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {name: value}
    return {key: leaf for part, inner in value.items() for key, leaf in _flat(inner, f"{name}.{part}" if name else part).items()}
