"""What trainings and evaluations leave, made here in no time: checkpoints, losses, real logs of inspect-ai, manifests."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import report
import split as split_stage
from ftexp.data.conversations import answer_text
from ftexp.design.planning import make_plan, read_run, write_plan
from ftexp.design.run import Run, Task
from ftexp.evaluation.eval_file import eval_text
from ftexp.evaluation.inspect_logs import log_path
from ftexp.evaluation.scorer_name import RECORDED
from ftexp.ground import paths
from ftexp.ground.filesystem import sha256_json, write_json
from ftexp.state.publishing import write_manifest
from ftexp.state.work import Work
from ftexp.trainers.validation_csv import Look, write_looks

WRONG = "<b>no</b>"


def plan(text: str) -> list[str]:
    """Plan the experiment, write what stands for stamp and split, and return the ids of its runs."""
    paths.EXPERIMENT_YAML.write_text(text)
    paths.SITE_YAML.write_text("backend: local\n")
    planned, runs = make_plan()
    write_plan(planned, runs)
    for run in runs:
        places = paths.RunPaths(run.id)
        places.eval_py.write_text(eval_text(run))
        if run.kind == "trained":
            places.finetune_yaml.write_text(f"run: {run.id}\n")
    split_stage.main([])
    return [run.id for run in runs]


def ids() -> list[str]:
    return [row["run"] for row in read_csv(paths.RUNS_CSV)]


def read_csv(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


def results(metric: str = "exact") -> dict[str, dict[str, str]]:
    """The rows of one metric in results.csv, of an experiment of one task, by run."""
    return {row["run"]: row for row in read_csv(paths.RESULTS_CSV) if row["metric"] == metric}


def finish_training(
    run_id: str, losses: tuple[float, ...] = (4.0, 3.0, 2.0, 1.0), looks: Sequence[Look] = ()
) -> None:
    """What a training leaves: a checkpoint, two steps per epoch of train.csv, the looks at it, a job record, a manifest."""
    places = paths.RunPaths(run_id)
    places.checkpoint_dir.mkdir(exist_ok=True)
    (places.checkpoint_dir / "adapter_model.safetensors").write_text(run_id)
    rows = [f"{i},{(i + 1) // 2},{loss},0.1,10.0," for i, loss in enumerate(losses, 1)]
    places.train_csv.write_text("\n".join(["step,epoch,loss,lr,tokens_per_s,peak_gb", *rows]) + "\n")
    if looks:
        write_looks(places.dir, looks)
    finish(run_id, "train")


def finish(run_id: str, stage: str) -> None:
    """The job record and the manifest of a stage whose products are there."""
    inputs = Work().inputs(read_run(run_id), stage)
    record_job(run_id, stage, "done", "", inputs)
    write_manifest(run_id, stage, inputs)


def record_job(run_id: str, stage: str, state: str, reason: str, inputs: dict[str, Any]) -> None:
    write_json(paths.RunPaths(run_id).job(stage), {
        "state": state, "input_hash": sha256_json(inputs), "host": "node1", "pid": 1, "started": 1750000000.5,
        "reason": reason, "seconds": 12.5,
    })


def finish_eval(run_id: str, is_right: Callable[[int], bool], **of_log: Any) -> None:
    """What an evaluation of generated answers leaves: a log of each task, a job record, a manifest."""
    run = read_run(run_id)
    for task in run.asked:
        write_log(run, is_right, task=task, **of_log)
    finish(run_id, "eval")


def edit_eval(run_id: str) -> None:
    """Another limit of tokens in a run's eval.py, from which its answers follow."""
    path = paths.RunPaths(run_id).eval_py
    text = path.read_text()
    assert "max_tokens=8," in text
    path.write_text(text.replace("max_tokens=8,", "max_tokens=9,"))


def rows_of(task: Task) -> list[dict[str, Any]]:
    """The items of a task, each `item` and `row`."""
    return [json.loads(line) for line in paths.split_part(task.test_set, "test").read_text().splitlines()]


def write_log(
    run: Run, is_right: Callable[[int], bool], *, task: Task | None = None, drop: int = 0, **of_log: Any
) -> None:
    """A log of right and wrong answers to one task, `drop` of its items left out.

    Where the run is asked several times, `is_right` goes on counting in the next epoch.
    """
    task = task or run.asked[0]
    items = rows_of(task)[drop:]
    targets = [answer_text(item["row"], task.data["input"], task.data["output"]) for item in items]
    answers = [
        [(target if is_right(epoch * len(items) + place) else WRONG, None) for epoch in range(task.epochs)]
        for place, target in enumerate(targets)
    ]
    named = dict(zip([item["item"] for item in items], answers, strict=True))
    inputs = [str(item["row"][task.data["input"]]) for item in items]
    write_answers(Asked(run, task.name, inputs, targets), named, **of_log)


@dataclass(frozen=True)
class Asked:
    """What a log is of: a run, one of its askings; and what stands in its samples."""

    run: Run
    asking: str
    inputs: Sequence[str] = ()
    targets: Sequence[str] = ()


# Per item and epoch the text, and what was measured.
Answers = Mapping[str, Sequence[tuple[str, Mapping[str, Any] | None]]]


def write_answers(
    asked: Asked, answers: Answers, *, status: Any = "success", owner: str | None = None, experiment: str | None = None,
    path: Path | None = None, has_samples: bool = True,
) -> None:
    """A log as inspect-ai writes it: samples (which take it 5 ms each), and the reductions of what was recorded of them."""
    from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalResults, EvalSpec, write_eval_log

    run = asked.run
    epochs = max(map(len, answers.values()), default=1)
    metadata = {"experiment": experiment or run.experiment, "run": owner or run.id, "asking": asked.asking}
    spec = EvalSpec(
        created="2026-01-01T00:00:00+00:00", task=asked.asking, dataset=EvalDataset(samples=len(answers)), model="ftexp/x",
        config=EvalConfig(), metadata=metadata,
    )
    counts = EvalResults(total_samples=len(answers) * epochs, completed_samples=len(answers) * epochs)
    log = EvalLog(status=status, eval=spec, samples=_samples(asked, answers) if has_samples else [], results=counts)
    log.reductions = [_reduced(answers)]
    path = path or log_path(run.id, asked.asking)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_eval_log(log, str(path))


def _samples(asked: Asked, answers: Answers) -> list[Any]:
    from inspect_ai.log import EvalSample
    from inspect_ai.model import ChatMessageSystem, ChatMessageUser
    from inspect_ai.scorer import Score

    said = zip(answers.items(), asked.inputs, asked.targets, strict=True)
    return [
        EvalSample(
            id=item, epoch=epoch, target=target, input=[ChatMessageSystem(content="Be brief."), ChatMessageUser(content=text)],
            scores={RECORDED: Score(value=1.0, answer=answer)},
        )
        for (item, given), text, target in said for epoch, (answer, _) in enumerate(given, 1)
    ]


def _reduced(answers: Answers) -> Any:
    """What the scorer `recorded` and its reducer leave."""
    from inspect_ai.log import EvalSampleReductions, EvalSampleScore

    found = []
    for item, given in answers.items():
        said = [
            {"epoch": epoch, "answer": text, "is_ended": True, **({"likelihood": measured} if measured else {})}
            for epoch, (text, measured) in enumerate(given, 1)
        ]
        found.append(EvalSampleScore(sample_id=item, value=1.0, answer=given[0][0], metadata={"answers": said}))
    return EvalSampleReductions(scorer=RECORDED, samples=found)


def make_report() -> None:
    assert report.main([]) == 0
