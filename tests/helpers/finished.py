"""Runs whose stages are done by what stands for their products, and the statuses that follow."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import split as split_stage
import stamp
from ftexp.design.planning import planned_runs
from ftexp.design.run import STAGES
from ftexp.ground import paths
from ftexp.state.publishing import write_manifest
from ftexp.state.work import Work


def finish(run: str, stages: tuple[str, ...]) -> None:
    """Products and manifests of a run's stages."""
    places, document = paths.RunPaths(run), next(each for each in planned_runs() if each.id == run)
    for stage in stages:
        folder = places.checkpoint_dir if stage == "train" else places.eval_dir
        folder.mkdir()
        (folder / "product").write_text(run)
        if stage == "eval":
            for asking in document.askings:
                places.eval_log(asking).write_text(f"{run}: {asking}")
        if stage == "train":
            places.train_csv.write_text("step,epoch,loss\n1,1,2.0\n")
        write_manifest(run, stage, Work().inputs(document, stage))


def finish_all() -> None:
    """Stamp and split, and finish every stage of every run."""
    assert stamp.main([]) == 0 and split_stage.main([]) == 0
    for run in planned_runs():
        finish(run.id, run.stages)


def make_change_and_look(change: Callable[[], object], expected: tuple[str, str]) -> None:
    """Make a change, stamp and split as `make all` does, and compare the statuses; no product may be lost by it."""
    found = (path for name in ("*/*/product", "*/eval/*.eval") for path in Path("runs").glob(name))
    products = {path: path.read_bytes() for path in found}
    change()
    removed = {path for path in products if not path.is_file()}
    assert stamp.main([]) == 0 and split_stage.main([]) == 0
    assert states() == expected, states()
    assert all(path.read_bytes() == data for path, data in products.items() if path not in removed)


def states() -> tuple[str, str]:
    """How many trainings and how many evaluations are in which status, and why."""
    work, runs = Work(), planned_runs()
    found: dict[str, Counter[str]] = {stage: Counter() for stage in STAGES}
    for run in runs:
        for stage in run.stages:
            state = work.state(run, stage)
            reason = f" ({state.reason})" if state.reason else ""
            is_later = state.status == "waiting" and state.reason.startswith("its training")
            found[stage]["waiting for their training" if is_later else state.status + reason] += 1
    train, evaluation = (", ".join(f"{count} {word}" for word, count in found[stage].items()) for stage in STAGES)
    return train, evaluation
