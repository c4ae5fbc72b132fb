"""DVC: the pipelines that it knows, and the one call that records finished stages.

Root dvc.yaml owns split and report; each run folder has a small one of its own with its own lock, because a single
file with `matrix:` is quadratic (600 s against 33 s for 1,000 runs, DVC 3.67).
"""

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ftexp.data.splits import VALIDATION
from ftexp.design.run import Run
from ftexp.design.tasks import task_file
from ftexp.ground import paths
from ftexp.ground.errors import UserError
from ftexp.ground.filesystem import read_json
from ftexp.ground.yamlfile import dump_yaml, load_yaml
from ftexp.state.code_version import part_of
from ftexp.state.run_lock import only_one_make
from ftexp.state.work import Work

_IN_GIT = (*paths.REPORT_FILES, paths.FIGURES_DIR, paths.METRICS_DIR)
# How DVC 3.67 says that another process holds its lock.
_BUSY = re.compile(r"Unable to acquire lock|is busy, it is being blocked")
# And that it cannot read .dvc/config; a traceback follows.
_NO_CONFIG = re.compile(r"configuration error - config file error: (.+?)(?:: |\n|$)")
HEADER = "# Written by `make stamp`. `dvc repro` runs the same scripts as make does.\n"


def run_pipeline(run: Run) -> str:
    """dvc.yaml of a run folder: stages train, where it has one, and eval, run from the experiment's root."""
    places = paths.RunPaths(run.id)
    base = [str(paths.model_dir(run.settings["model"])), *([str(run.template)] if run.template else [])]
    stages = {}
    if run.trains:
        stages["train"] = {
            "wdir": "../..", "cmd": f"bash {places.script('train')}",
            "deps": [str(places.finetune_yaml), *map(str, _rows_of_training(run)), *base],
            "params": [{str(paths.CODE_JSON): [part_of(run, "train")]}],
            "outs": [
                str(places.checkpoint_dir), {str(places.train_csv): {"cache": False}},
                *([{str(places.validation_csv): {"cache": False}}] if run.validation else []),
                {str(places.manifest("train")): {"cache": False}},
            ],
        }
    trained, kept = run.adapter_or_weights, {"persist": True}  # what is asked already is not asked again
    rows = sorted({str(paths.split_part(task.test_set, "test")) for task in run.asked if task.data})
    own = (Path(file) for task in run.asked if (file := task_file(task.facts)))
    files = sorted({str(path if path.parent == Path() else path.parent) for path in own})  # with what lies beside them
    stages["eval"] = {
        "wdir": "../..", "cmd": f"bash {places.script('eval')}",
        "deps": [str(places.eval_py), *rows, *files, *base, *([] if trained is None else [str(trained)])],
        "params": [{str(paths.CODE_JSON): ["evaluation"]}],
        "outs": [{str(places.eval_dir): kept}, {str(places.manifest("eval")): {"cache": False, **kept}}],
    }
    return HEADER + dump_yaml({"stages": stages})


def root_pipeline(runs: list[Run], own_files: Sequence[str] = (), *, has_choice: bool = False) -> str:
    """The experiment's dvc.yaml: split before the runs, score and report after them.

    Args:
        own_files: The files that scorers of one's own are in.
        has_choice: Whether levels are chosen on validation.
    """
    sources = sorted({str(path) for run in runs for path in run.data_files})
    usable = [run for run in runs if not run.problems]
    stages = {
        "split": {
            "cmd": ".venv/bin/python scripts/split.py", "deps": [*sources, str(paths.EXPERIMENT_YAML)],
            "params": [{str(paths.CODE_JSON): ["split"]}],
            "outs": sorted({str(folder) for run in usable for folder in _split_dirs(run)}),
        },
        "score": {
            "cmd": ".venv/bin/python scripts/score.py",
            "deps": [
                str(paths.EXPERIMENT_YAML), str(paths.RUNS_CSV), *own_files,
                *(str(paths.RunPaths(run.id).eval_dir) for run in usable),
            ],
            "params": [{str(paths.CODE_JSON): ["scoring"]}],
            "outs": [{str(paths.SCORES_DIR): {"persist": True}}],  # what is judged already is not judged again
        },
        "report": {
            "cmd": ".venv/bin/python scripts/report.py",
            "deps": [str(paths.EXPERIMENT_YAML), str(paths.RUNS_CSV), str(paths.SCORES_DIR)],
            "outs": [
                *({str(path): {"cache": False}} for path in (*_IN_GIT, *([paths.SELECTED_CSV] if has_choice else []))),
                str(paths.ITEMS_PARQUET),
            ],
        },
    }
    shown = {"metrics": [str(paths.METRICS_DIR)], "params": [str(paths.EXPERIMENT_YAML)], "plots": _plots(usable)}
    return HEADER + dump_yaml({"stages": stages, **{key: value for key, value in shown.items() if value}})


def _rows_of_training(run: Run) -> list[Path]:
    """The files of the rows that a run trains on, and is validated by."""
    parts = ("train", VALIDATION) if run.validation else ("train",)
    return [paths.split_part(run.training_set, part) for part in parts]


def _split_dirs(run: Run) -> list[Path]:
    """The folders of the rows that a run trains on and is asked."""
    return [paths.split_dir(name) for name, _ in run.row_sets]


def _plots(runs: list[Run]) -> list[dict[str, Any]]:
    """What `dvc plots` shows: the loss of every training over its steps, in one plot; likewise of the looks at them."""
    trained = [run for run in runs if run.trains]
    plots = {
        "training loss": [str(paths.RunPaths(run.id).train_csv) for run in trained],
        "validation loss": [str(paths.RunPaths(run.id).validation_csv) for run in trained if run.validation],
    }
    return [
        {title: {"x": dict.fromkeys(tables, "step"), "y": dict.fromkeys(tables, "loss"), "x_label": "step", "y_label": "loss"}}
        for title, tables in plots.items() if tables
    ]


def is_in_git(output: str) -> bool:
    """Whether git holds an output of a stage (`cache: false`), so that DVC's copy of it is needed by nobody."""
    of_runs = ("train.csv", "validation.csv", "train.json", "eval.json")
    return Path(output) in (*_IN_GIT, paths.SELECTED_CSV) or Path(output).name in of_runs


def record_finished(work: Work, runs: list[Run]) -> None:
    """Record, in one call, every finished stage that DVC does not know yet, the split among them.

    A run's stage is finished if its inputs still hash as they did when it ran; others are left alone.
    """
    has_split = all(folder.is_dir() for run in runs for folder in _split_dirs(run))
    targets = [f"{paths.ROOT_DVC_YAML}:split"] if has_split and not _is_split_recorded(runs) else []
    for run in runs:
        places = paths.RunPaths(run.id)
        for stage in run.stages:
            is_done = work.state(run, stage).status == "done"
            if is_done and not _is_recorded(places.dvc_lock, stage, places.manifest(stage)):
                targets.append(f"{places.dvc_yaml}:{stage}")
    work.hashes.save()
    _commit(targets)


def record_report(runs: list[Run]) -> None:
    """Record scores and report, if every run is evaluated and recorded, and DVC does not know this report yet."""
    evaluated = {}
    for run in runs:
        places = paths.RunPaths(run.id)
        evaluated[str(places.eval_dir)] = _locked(places.dvc_lock, "eval").get(str(places.eval_dir))
    if None in evaluated.values():
        return
    judged, known = _locked(paths.ROOT_DVC_LOCK, "score"), _locked(paths.ROOT_DVC_LOCK, "report")
    is_same = str(paths.METRICS_DIR) in known and all(judged.get(name) == digest for name, digest in evaluated.items())
    is_same = is_same and judged.get("code") == read_json(paths.CODE_JSON)["scoring"]
    outputs = [*paths.REPORT_FILES, paths.ITEMS_PARQUET, *([paths.SELECTED_CSV] if paths.SELECTED_CSV.is_file() else [])]
    if not (is_same and all(_is_recorded(paths.ROOT_DVC_LOCK, "report", path) for path in outputs)):
        _commit([f"{paths.ROOT_DVC_YAML}:score", f"{paths.ROOT_DVC_YAML}:report"])


def _is_split_recorded(runs: list[Run]) -> bool:
    """Whether DVC's lock holds these splits of these sources, under the prompts and tests of this experiment.yaml."""
    known = _locked(paths.ROOT_DVC_LOCK, "split")
    splits = {str(folder) for run in runs for folder in _split_dirs(run)}
    sources = {paths.EXPERIMENT_YAML, *(path for run in runs for path in run.data_files)}
    code = read_json(paths.CODE_JSON)["split"]
    return splits <= set(known) and known.get("code") == code and all(known.get(str(path)) == _md5(path) for path in sources)


def _commit(targets: list[str]) -> None:
    """One `dvc commit` for the stages named (`path/dvc.yaml:stage`).

    Raises:
        UserError: With DVC's message, if it fails.
    """
    if not targets:
        return
    if not Path(".dvc").is_dir():
        raise UserError(".dvc: is missing, so nothing can be recorded. Run `make setup`.")
    command = [str(Path(sys.executable).parent / "dvc"), "commit", "--force", *targets]
    with only_one_make("dvc"):
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    said = (result.stderr or result.stdout).strip()[-2000:]
    if result.returncode != 0 and _BUSY.search(said):
        what = "another dvc command is at work here, so nothing was recorded"
        raise UserError(f".dvc: {what}. Nothing is lost: when that has ended, run the same command again.")
    if unreadable := _NO_CONFIG.search(result.stderr):
        what = f"dvc cannot read it: {unreadable[1].rstrip('.')}"
        raise UserError(f".dvc/config: {what}. Correct it, or `git checkout .dvc/config`.")
    if result.returncode != 0:
        raise UserError(f"dvc commit: {said}")


def _is_recorded(lock: Path, stage: str, output: Path) -> bool:
    """Whether `lock` holds `output` of `stage`, and the small files it depends on, as they are now."""
    known = _locked(lock, stage)
    small = {str(output), *(name for name in known if name.endswith((".yaml", ".py", ".csv", ".jinja")) and Path(name).is_file())}
    return all(known.get(name) == _md5(Path(name)) for name in small)


def _locked(lock: Path, stage: str) -> dict[str, str | None]:
    """MD5 by path of what DVC's lock says of a stage, and under `code` the version of our code; empty where it says nothing."""
    entry = _read_lock(lock).get(stage, {})
    known = {item["path"]: item.get("md5") for kind in ("deps", "outs") for item in entry.get(kind, [])}
    for value in entry.get("params", {}).get(str(paths.CODE_JSON), {}).values():
        known["code"] = value
    return known


def _read_lock(lock: Path) -> dict[str, Any]:
    """The stages of a lock of DVC's. One that a kill left half written goes aside: DVC could not read it, and writes it anew.

    Raises:
        UserError: If it holds a merge conflict, in which both sides name results that DVC has.
    """
    if not lock.is_file():
        return {}
    try:
        stages: dict[str, Any] = dict(load_yaml(lock, str(lock))["stages"])
    except (UserError, TypeError, KeyError, ValueError) as error:
        if "<<<<<<< " in lock.read_text(encoding="utf-8", errors="replace"):
            cure = f"Take one side, for example: git checkout --ours {lock}"
            raise UserError(f"{lock}: holds a merge conflict. {cure}") from error
        os.replace(lock, lock.with_name("dvc.lock.unreadable"))
        return {}
    return stages


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
