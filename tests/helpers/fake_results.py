"""What trainings and evaluations leave, made here in no time: checkpoints, losses, real logs of inspect-ai, manifests."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import report
import split as split_stage
from ftexp.design.planning import make_plan, read_run, write_plan
from ftexp.evaluation.eval_file import task_name
from ftexp.evaluation.inspect_logs import log_path
from ftexp.ground import paths
from ftexp.ground.filesystem import sha256_json, write_json
from ftexp.state.publishing import write_manifest
from ftexp.state.work import Work


def plan(text: str) -> list[str]:
    """Plan the experiment, write what stands for stamp and split, and return the ids of its runs."""
    paths.EXPERIMENT_YAML.write_text(text)
    paths.SITE_YAML.write_text("backend: local\n")
    planned, runs = make_plan()
    write_plan(planned, runs)
    for run in runs:
        places = paths.RunPaths(run.id)
        places.eval_py.write_text(f"# {run.id}")
        if run.kind == "trained":
            places.finetune_yaml.write_text(f"run: {run.id}\n")
    split_stage.main([])
    return [run.id for run in runs]


def ids() -> list[str]:
    return [row["run"] for row in read_csv(paths.RUNS_CSV)]


def read_csv(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


def results() -> dict[str, dict[str, str]]:
    return {row["run"]: row for row in read_csv(paths.RESULTS_CSV)}


def finish_training(run_id: str, losses: tuple[float, ...] = (4.0, 3.0, 2.0, 1.0)) -> None:
    """What a training leaves: a checkpoint, two steps per epoch of train.csv, a job record, a manifest."""
    places = paths.RunPaths(run_id)
    places.checkpoint_dir.mkdir(exist_ok=True)
    (places.checkpoint_dir / "adapter_model.safetensors").write_text(run_id)
    rows = [f"{i},{(i + 1) // 2},{loss},0.1,10.0," for i, loss in enumerate(losses, 1)]
    places.train_csv.write_text("\n".join(["step,epoch,loss,lr,tokens_per_s,peak_gb", *rows]) + "\n")
    inputs = Work().inputs(read_run(run_id), "train")
    record_job(run_id, "train", "done", "", inputs)
    write_manifest(run_id, "train", inputs)


def record_job(run_id: str, stage: str, state: str, reason: str, inputs: dict[str, Any]) -> None:
    write_json(paths.RunPaths(run_id).job(stage), {
        "state": state, "input_hash": sha256_json(inputs), "host": "node1", "pid": 1, "started": 1750000000.5,
        "reason": reason, "seconds": 12.5,
    })


def finish_eval(run_id: str, is_right: Callable[[int], bool], **of_log: Any) -> None:
    """What an evaluation leaves: a log, a job record, a manifest."""
    run = read_run(run_id)
    write_log(run, is_right, **of_log)
    inputs = Work().inputs(run, "eval")
    record_job(run_id, "eval", "done", "", inputs)
    write_manifest(run_id, "eval", inputs)


def write_log(
    run: dict[str, Any], is_right: Callable[[int], bool], *, status: Any = "success", owner: str | None = None,
    experiment: str | None = None, drop: int = 0, path: Path | None = None, has_samples: bool = True,
) -> None:
    """A log as inspect-ai writes it: samples (which take it 5 ms each), and the reductions of their scores.

    Where the run is asked several times, `is_right` goes on counting in the next epoch.
    """
    from inspect_ai.log import (
        EvalConfig,
        EvalDataset,
        EvalLog,
        EvalResults,
        EvalSample,
        EvalSampleReductions,
        EvalSampleScore,
        EvalSpec,
        write_eval_log,
    )
    from inspect_ai.model import ChatMessageSystem, ChatMessageUser
    from inspect_ai.scorer import Score

    lines = (paths.split_part(run.test_set, "test")).read_text().splitlines()
    items = [json.loads(line) for line in lines][drop:]
    epochs = run.evaluation.get("epochs", 1)
    asked = [(epoch, item) for epoch in range(1, epochs + 1) for item in items]
    answers = [item["row"][run.data["output"]] if is_right(i) else "<b>no</b>" for i, (_, item) in enumerate(asked)]
    samples = [
        EvalSample(
            id=item["item"], epoch=epoch, target=item["row"][run.data["output"]],
            input=[ChatMessageSystem(content="Be brief."), ChatMessageUser(content=item["row"][run.data["input"]])],
            scores={"exact": Score(value="CI"[not is_right(i)], answer=answers[i])},
        )
        for i, (epoch, item) in enumerate(asked if has_samples else [])
    ]
    reduced = []
    for i, item in enumerate(items):
        said = [
            {"epoch": epoch, "answer": answers[at], "score": float(is_right(at))}
            for epoch, at in enumerate(range(i, len(asked), len(items)), 1)
        ]
        metadata = {"answers": said} if "epochs" in run.evaluation else None
        mean = sum(each["score"] for each in said) / epochs  # type: ignore[misc]
        reduced.append(EvalSampleScore(sample_id=item["item"], value=mean, answer=answers[i], metadata=metadata))
    spec = EvalSpec(
        created="2026-01-01T00:00:00+00:00", task="caps", dataset=EvalDataset(samples=len(items)), model="ftexp/x",
        config=EvalConfig(), metadata={"experiment": experiment or task_name(run.experiment), "run": owner or run.id},
    )
    counts = EvalResults(total_samples=len(asked), completed_samples=len(asked))
    reductions = [EvalSampleReductions(scorer="exact", samples=reduced)]
    log = EvalLog(status=status, eval=spec, samples=samples, results=counts)
    log.reductions = reductions
    path = path or log_path(run)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_eval_log(log, str(path))


def make_report() -> None:
    assert report.main([]) == 0
