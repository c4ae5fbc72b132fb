"""Measures `report` on 1,000 trained runs and a control, each asked 1,000 test items: seconds, memory, size of what it leaves.

Reads the template. Writes nothing outside a temporary folder, which KEEP=<new folder> replaces and keeps; prints one line per
figure. One log is written by an evaluation with inspect-ai's mock model; every run has a copy of it with a header and reductions
(all that a report reads of a log) of its own. DVC_ROOT is set, as DVC does, so that DVC records nothing.
Command: .venv/bin/python benchmarks/report.py
"""

import json
import math
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

TEMPLATE = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
REPEATS = 2
ITEMS = 1_000
# 10 x 5 x 5 x 4 = 1,000 runs.
FACTORS: dict[str, list[Any]] = {
    "lora_rank": list(range(1, 11)), "lr": [1e-4, 2e-4, 4e-4, 8e-4, 1.6e-3], "optimizer.weight_decay": [0, 0.01, 0.03, 0.1, 0.3],
    "seed": [1, 2, 3, 4],
}
DESIGN = f"""
experiment: bench
question: Does the report of a thousand runs take less than a minute?
data: {{source: words.json, split: {{train: 0.5, validation: 0, test: 0.5, seed: 0}}, input: input, output: output}}
factors: {json.dumps(FACTORS)}
constants: {{model: tiny-instruct, epochs: 2, batch_size: 10, dtype: fp32}}
evaluation: {{scorer: exact, max_tokens: 16}}
"""
# Logits: of the middling item untuned, of tuning, of each factor from its first to its last level, and standard deviations.
UNTUNED, TUNED = -1.5, 1.0
EFFECTS = {"lora_rank": 0.6, "lr": 0.8, "optimizer.weight_decay": 0.0}
RANK_BY_LR = -0.4
ITEM_SD, ITEM_BY_RUN_SD, RUN_SD = 1.5, 1.0, 0.2
RUN_MEMBERS = ("reductions.json", "header.json")
OUTPUTS = ("report.html", "results.csv", "effects.csv", "items.parquet", "timings.csv", "figures/*")
MEMORIES = ".scratch/*.json"


@dataclass(frozen=True)
class Question:
    """A row of the test set."""

    item: str
    word: str
    target: str


def main() -> None:
    """Print every figure. What a child's peak memory counts begins with its parent's, so logs are made in another process."""
    with experiments_folder() as root:
        folder = make_experiment(root)
        began = time.perf_counter()
        call(folder, [sys.executable, __file__, "fill"])
        seconds, logs = time.perf_counter() - began, list(folder.glob("runs/*/eval/*.eval"))
        print(f"{len(logs):,} logs of {ITEMS:,} items: {bytes_of(logs) / 1e9:.2f} GB, made in {seconds:.0f} s", flush=True)
        for _ in range(REPEATS):
            forget(folder)
            report(folder, "report, nothing remembered (limit 60 s, 4 GB)")
        for _ in range(REPEATS):
            report(folder, "a second report, nothing changed")
        print(call(folder, [sys.executable, __file__, "effects"]), end="")
        for name in OUTPUTS:
            files = list(folder.glob(name))
            print(f"{name}: {bytes_of(files) / 1e6:.2f} MB" + (f" in {len(files)} files" if len(files) > 1 else ""))


@contextmanager
def experiments_folder() -> Iterator[Path]:
    """A temporary folder, or the one that the environment variable KEEP names, which stays."""
    if "KEEP" in os.environ:
        kept = Path(os.environ["KEEP"]).resolve()
        kept.mkdir(parents=True)
        yield kept
        return
    with tempfile.TemporaryDirectory(prefix="ftexp-") as name:
        yield Path(name)


def make_experiment(root: Path) -> Path:
    """The experiment, stamped and split, nothing trained."""
    words = json.loads((TEMPLATE / "data/words.json").read_text(encoding="utf-8"))
    (root / "words.json").write_text(json.dumps(words[: 2 * ITEMS]), encoding="utf-8")
    (root / "design.yaml").write_text(DESIGN, encoding="utf-8")
    answers = ["experiment_name=bench", f"design={root / 'design.yaml'}"]
    call(root, [str(BIN / "cookiecutter"), str(TEMPLATE), "--no-input", "--default-config", "-o", str(root), *answers])
    folder = root / "bench"
    (folder / "models").symlink_to("data/models")
    for verb in ("stamp.py", "split.py"):
        call(folder, [sys.executable, f"scripts/{verb}"])
    return folder


def forget(folder: Path) -> None:
    """Remove what a report left, and what stages remember."""
    for pattern in (*OUTPUTS, MEMORIES):
        for path in folder.glob(pattern):
            path.unlink()


def environment(folder: Path) -> dict[str, str]:
    """As make sets it; with DVC_ROOT nothing is recorded, and what inspect-ai keeps of itself stays in the folder."""
    own = str(folder.parent / "inspect")
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "DVC_ROOT": str(folder), "XDG_DATA_HOME": own, "XDG_CACHE_HOME": own}


def call(folder: Path, command: list[str]) -> str:
    """Run a command to its end, and return what it printed."""
    result = subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, text=True, check=False)
    if result.returncode != 0:
        sys.exit(result.stdout[-2000:] + result.stderr[-2000:])
    return result.stdout


def report(folder: Path, what: str) -> None:
    """One line: wall seconds and peak memory of one process that reports. Its output goes to a file beside the experiment."""
    terminal = folder.parent / "terminal.txt"
    began = time.perf_counter()
    with terminal.open("wb") as file:
        command = [sys.executable, "scripts/report.py"]
        process = subprocess.Popen(command, cwd=folder, env=environment(folder), stdout=file, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(terminal.read_text(encoding="utf-8")[-2000:])
    processor = usage.ru_utime + usage.ru_stime
    print(f"{what}: {seconds:.1f} s ({processor:.1f} of processor time), {usage.ru_maxrss * 1024 / 1e9:.2f} GB", flush=True)


def bytes_of(files: Sequence[Path]) -> int:
    """Size of files together."""
    return sum(path.stat().st_size for path in files)


def fill() -> None:
    """Finish every run of the experiment in the working folder, by its own code."""
    from ftexp.planning import planned_runs
    from ftexp.splits import read_items
    from ftexp.state import Work

    runs, work, rng = planned_runs(), Work(), np.random.default_rng(0)
    [test_file] = Path("data/splits").glob("*/test.jsonl")
    questions = [Question(x["item"], x["row"]["input"], x["row"]["output"]) for x in read_items(test_file)]
    if (len(runs), len(questions)) != (1001, ITEMS):
        sys.exit(f"{len(runs)} runs and {len(questions)} items, and not 1,001 and {ITEMS:,}")
    trunk, header = cut(evaluate_with_mock_model(runs[0], test_file))
    difficulties = rng.normal(0, ITEM_SD, ITEMS)
    for run in runs:
        if run["kind"] == "trained":
            write_training(run["run"], rng)
            vouch(work, run, "train")
        logits = logit(run) - difficulties + rng.normal(0, RUN_SD) + rng.normal(0, ITEM_BY_RUN_SD, ITEMS)
        is_right = rng.random(ITEMS) < 1 / (1 + np.exp(-logits))
        write_log(run, trunk, header, reductions(questions, is_right.tolist(), rng.integers(3, size=ITEMS).tolist()))
        vouch(work, run, "eval")


def logit(run: dict[str, Any]) -> float:
    """Of a run on the middling item."""
    if run["kind"] == "control":
        return UNTUNED
    shares = {name: FACTORS[name].index(run["levels"][name]) / (len(FACTORS[name]) - 1) for name in EFFECTS}
    sizes = sum(share * EFFECTS[name] for name, share in shares.items())
    return UNTUNED + TUNED + sizes + RANK_BY_LR * shares["lora_rank"] * shares["lr"]


def evaluate_with_mock_model(run: dict[str, Any], test_file: Path) -> Path:
    """A log of the run's test set, as inspect-ai writes it at the end of an evaluation."""
    import inspect_ai
    from ftexp.eval_file import task_name
    from ftexp.evaluation.samples import test_samples
    from ftexp.evaluation.scorer import exact
    from inspect_ai.solver import generate

    samples = test_samples(str(test_file), system=None, user="{input}", input_column="input", output_column="output")
    metadata = {"experiment": task_name(run), "run": run["run"], "kind": run["kind"]}
    task = inspect_ai.Task(dataset=samples, solver=generate(), scorer=exact(), name=task_name(run), metadata=metadata)
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


def write_log(run: dict[str, Any], trunk: bytes, header: dict[str, Any], reduced: list[dict[str, Any]]) -> None:
    """A run's log: its own header and reductions after the samples that all share."""
    from ftexp.inspect_logs import log_path

    metadata = {**header["eval"]["metadata"], "run": run["run"], "kind": run["kind"]}
    own = {**header, "status": "success", "eval": {**header["eval"], "model": f"ftexp/{run['run']}", "metadata": metadata}}
    path = log_path(run)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(trunk)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_ZSTANDARD) as log:  # type: ignore[attr-defined]
        for name, content in zip(RUN_MEMBERS, (reduced, own), strict=True):
            log.writestr(name, json.dumps(content))


def reductions(questions: Sequence[Question], is_right: Sequence[bool], mistakes: Sequence[int]) -> list[dict[str, Any]]:
    """What reductions.json says: per item the score and the answer, which is the target or one of three mistakes."""
    samples = []
    for question, right, mistake in zip(questions, is_right, mistakes, strict=True):
        answer = question.target if right else (question.word, question.target[:-1], question.target.title())[mistake]
        samples.append({"value": float(right), "answer": answer, "history": [], "sample_id": question.item})
    return [{"scorer": "exact", "samples": samples}]


def write_training(run: str, rng: np.random.Generator) -> None:
    """A checkpoint, and train.csv of two epochs of a hundred steps."""
    from ftexp.paths import RunPaths

    places = RunPaths(run)
    places.checkpoint_dir.mkdir()
    (places.checkpoint_dir / "adapter_model.safetensors").write_text(run, encoding="utf-8")
    losses = [0.5 + 4 * math.exp(-step / 60) + noise for step, noise in enumerate(rng.normal(0, 0.1, 200))]
    rows = [f"{step},{1 + (step > 100)},{loss},0.0003,10000.0," for step, loss in enumerate(losses, 1)]
    places.train_csv.write_text("\n".join(["step,epoch,loss,lr,tokens_per_s,peak_gb", *rows]) + "\n", encoding="utf-8")


def vouch(work: Any, run: dict[str, Any], stage: str) -> None:
    """The job record and the manifest of a stage that is done."""
    from ftexp.filesystem import sha256_json, write_json
    from ftexp.paths import RunPaths
    from ftexp.publishing import write_manifest

    inputs = work.inputs(run, stage)
    record = {"state": "done", "input_hash": sha256_json(inputs), "host": "node1", "pid": 1, "started": 1.75e9, "reason": ""}
    write_json(RunPaths(run["run"]).job(stage), {**record, "seconds": 12.5})
    write_manifest(run["run"], stage, inputs)


def time_effects() -> None:
    """One line: seconds of the function `effects` alone, on the tables that the report makes."""
    from ftexp import paths
    from ftexp.effects import effects
    from ftexp.planning import planned_runs
    from ftexp.reporting.scores import analysis_of, items_frame, runs_frame, scores_frame
    from ftexp.results import collect_contents, collect_states
    from ftexp.spec import read_experiment
    from ftexp.state import Work

    experiment = read_experiment(paths.EXPERIMENT_YAML)
    facts = collect_contents(collect_states(Work(), planned_runs()), experiment.analysis)
    scores, runs = scores_frame(facts, items_frame(facts), experiment), runs_frame(facts, experiment)
    for _ in range(REPEATS):
        began = time.perf_counter()
        table = effects(scores, runs, analysis_of(experiment))
        print(f"effects alone, {len(scores):,} scores, {len(table):,} rows: {time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    steps = {"": main, "fill": fill, "effects": time_effects}
    if sys.argv[1:]:
        sys.path.insert(0, "scripts")  # the experiment's own
    steps[" ".join(sys.argv[1:])]()
