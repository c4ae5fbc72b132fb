"""Finishes every run of an experiment without training one: checkpoints, losses, logs of inspect-ai, manifests.

Of its one task one log is written by an evaluation with inspect-ai's mock model; every run has a copy of it with a header and
reductions (all that judging reads of a log) of its own. Reads the stamped and split experiment in the working folder. Writes what
its stages would write.
Command: .venv/bin/python benchmarks/finished_runs.py (in the experiment's folder)
"""

import json
import math
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ftexp.design.run import Run

# Logits: of the middling item untuned, of tuning, of each factor from its first to its last level, and standard deviations.
UNTUNED, TUNED = -1.5, 1.0
EFFECTS = {"lora_rank": 0.6, "lr": 0.8, "optimizer.weight_decay": 0.0}
RANK_BY_LR = -0.4
ITEM_SD, ITEM_BY_RUN_SD, RUN_SD = 1.5, 1.0, 0.2
MOST_LABELS = 10
RUN_MEMBERS = ("reductions.json", "header.json")


@dataclass(frozen=True)
class Question:
    """A row of the test set."""

    item: str
    word: str
    target: str


def finish_all() -> None:
    """Finish every run of the experiment in the working folder, by its own code."""
    from ftexp.data.rows import read_items
    from ftexp.design.planning import planned_runs
    from ftexp.evaluation.inspect_logs import log_path
    from ftexp.state.work import Work

    runs, work, rng = planned_runs(), Work(), np.random.default_rng(0)
    [asking] = {asking for run in runs for asking in run.askings}
    [test_file] = Path("data/splits").glob("*/test.jsonl")
    questions = [Question(x["item"], x["row"]["input"], x["row"]["output"]) for x in read_items(test_file)]
    trunk, header = cut(evaluate_with_mock_model(runs[0], asking, test_file))
    count, levels = len(questions), levels_of(runs)
    difficulties = rng.normal(0, ITEM_SD, count)
    for run in runs:
        if run.kind == "trained":
            write_training(run.id, rng)
            vouch(work, run, "train")
        logits = logit(run, levels) - difficulties + rng.normal(0, RUN_SD) + rng.normal(0, ITEM_BY_RUN_SD, count)
        is_right = rng.random(count) < 1 / (1 + np.exp(-logits))
        said = reductions(questions, is_right.tolist(), rng.integers(3, size=count).tolist())
        write_log(log_path(run.id, asking), run, (trunk, header), said)
        vouch(work, run, "eval")


def levels_of(runs: "Sequence[Run]") -> dict[str, list[Any]]:
    """The levels of each factor that has an effect, in the order of the runs."""
    trained = [run for run in runs if run.kind == "trained"]
    return {name: list(dict.fromkeys(run.levels[name] for run in trained)) for name in EFFECTS}


def logit(run: "Run", levels: dict[str, list[Any]]) -> float:
    """Of a run on the middling item."""
    if run.kind == "control":
        return UNTUNED
    shares = {name: levels[name].index(run.levels[name]) / max(1, len(levels[name]) - 1) for name in EFFECTS}
    sizes = sum(share * EFFECTS[name] for name, share in shares.items())
    return UNTUNED + TUNED + sizes + RANK_BY_LR * shares["lora_rank"] * shares["lr"]


def evaluate_with_mock_model(run: "Run", asking: str, test_file: Path) -> Path:
    """A log of the run's test set, as inspect-ai writes it at the end of an evaluation."""
    import inspect_ai
    from ftexp.evaluation.samples import test_samples
    from ftexp.evaluation.scorer import recorded, with_answers
    from inspect_ai.solver import generate

    samples = test_samples(str(test_file), {"system": None, "user": "{input}"}, ("input", "output"))
    metadata = {"experiment": run.experiment, "run": run.id, "kind": run.kind, "asking": asking}
    task = inspect_ai.Task(
        dataset=samples, solver=generate(), scorer=recorded(), name=asking, metadata=metadata,
        epochs=inspect_ai.Epochs(1, with_answers()),
    )
    model = inspect_ai.model.get_model("mockllm/model", custom_outputs=in_capitals)
    folder = str(Path("..").resolve() / "mock")
    [log] = inspect_ai.eval(task, model=model, log_dir=folder, display="none", log_format="eval", log_realtime=False)
    if log.status != "success":
        sys.exit(f"{log.location}: {log.error}")
    return Path(log.location)


def in_capitals(messages: list[Any], *_: Any) -> Any:
    """The mock model's answer: the word in capitals. Without a count of tokens it would fetch a tokenizer from the net."""
    from inspect_ai.model import ModelOutput, ModelUsage

    output = ModelOutput.from_content("mockllm/model", messages[-1].text.upper())
    output.usage = ModelUsage(input_tokens=8, output_tokens=4, total_tokens=12)
    return output


def cut(log: Path) -> tuple[bytes, dict[str, Any]]:
    """A log without what is each run's own, and its header. inspect-ai makes zipfile read and write Zstandard."""
    trunk = log.with_suffix(".trunk")
    with zipfile.ZipFile(log) as whole, zipfile.ZipFile(trunk, "w") as target:
        for info in whole.infolist():
            if info.filename not in RUN_MEMBERS:
                target.writestr(info, whole.read(info))
        header: dict[str, Any] = json.loads(whole.read("header.json"))
    return trunk.read_bytes(), header


def write_log(path: Path, run: "Run", shared: tuple[bytes, dict[str, Any]], reduced: list[dict[str, Any]]) -> None:
    """A run's log: its own header and reductions after the samples that all share."""
    trunk, header = shared
    metadata = {**header["eval"]["metadata"], "run": run.id, "kind": run.kind}
    own = {**header, "status": "success", "eval": {**header["eval"], "model": f"ftexp/{run.id}", "metadata": metadata}}
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(trunk)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_ZSTANDARD) as log:  # type: ignore[attr-defined]
        for name, content in zip(RUN_MEMBERS, (reduced, own), strict=True):
            log.writestr(name, json.dumps(content))


def reductions(questions: Sequence[Question], is_right: Sequence[bool], mistakes: Sequence[int]) -> list[dict[str, Any]]:
    """What reductions.json says: per item what was recorded, its answer the target or one of three mistakes.

    A mistake is another label where targets are labels, else the target written otherwise.
    """
    samples, labels = [], sorted({question.target for question in questions})
    for question, right, mistake in zip(questions, is_right, mistakes, strict=True):
        others = [label for label in labels if label != question.target] if len(labels) < MOST_LABELS else [
            question.word, question.target[:-1], question.target.title(),
        ]
        answer = question.target if right else others[mistake]
        said = {"answers": [{"epoch": 1, "answer": answer, "is_ended": True}]}
        samples.append({"value": 1.0, "answer": answer, "metadata": said, "history": [], "sample_id": question.item})
    return [{"scorer": "recorded", "samples": samples}]


def write_training(run: str, rng: np.random.Generator) -> None:
    """A checkpoint, and train.csv of two epochs of a hundred steps."""
    from ftexp.ground.paths import RunPaths

    places = RunPaths(run)
    places.checkpoint_dir.mkdir()
    (places.checkpoint_dir / "adapter_model.safetensors").write_text(run, encoding="utf-8")
    losses = [0.5 + 4 * math.exp(-step / 60) + noise for step, noise in enumerate(rng.normal(0, 0.1, 200))]
    rows = [f"{step},{1 + (step > 100)},{loss},0.0003,10000.0," for step, loss in enumerate(losses, 1)]
    places.train_csv.write_text("\n".join(["step,epoch,loss,lr,tokens_per_s,peak_gb", *rows]) + "\n", encoding="utf-8")


def vouch(work: Any, run: "Run", stage: str) -> None:
    """The job record and the manifest of a stage that is done."""
    from ftexp.ground.filesystem import sha256_json, write_json
    from ftexp.ground.paths import RunPaths
    from ftexp.state.publishing import write_manifest

    inputs = work.inputs(run, stage)
    record = {"state": "done", "input_hash": sha256_json(inputs), "host": "node1", "pid": 1, "started": 1.75e9, "reason": ""}
    write_json(RunPaths(run.id).job(stage), {**record, "seconds": 12.5})
    write_manifest(run.id, stage, inputs)


if __name__ == "__main__":
    sys.path.insert(0, "scripts")  # the experiment's own
    finish_all()
