"""An experiment that asks all there is to ask, made without training: every kind of task, scorers, metrics, gaps, a matrix.

Two corpora by two ranks by two seeds, a control, an existing checkpoint; one run failed, one whose evaluation is stale.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import score
from ftexp.design.planning import read_run
from ftexp.design.run import REFERENCE, Run, Task
from ftexp.state.work import Work

from helpers.fake_results import (
    Asked,
    edit_eval,
    finish,
    finish_training,
    ids,
    make_report,
    plan,
    record_job,
    rows_of,
    write_answers,
)

EXPERIMENT = """
experiment: broad
question: What does tuning on the words of one language teach of the other, and of anything else?
data: {test: data/raw/english.json}
factors:
  corpus: {A: {data.train: data/raw/a.json}, B: {data.train: data/raw/b.json}}
  lora_rank: [4, 16]
  seed: [1, 2]
constants: {model: tiny, epochs: 1, batch_size: 4, dtype: fp32}
controls: {base: true, others: {published: models/published}}
evaluation:
  max_tokens: 8
  primary: english/exact
  scorers: [exact, ignore_case, includes]
  metrics: [macro_f1, mcc]
  tasks:
    english: {groups: [tone]}
    italian: {data: data/raw/italian.json}
    stance: {choices: [agree, disagree, neither], scorers: [exact], metrics: [brier, ece, auc], prompt.user: 'Stance? {input}'}
    age: {data: data/raw/ages.json, scorers: [{numeric: 2}], metrics: [rmse, mae, r2]}
    summary:
      data: data/raw/summaries.json
      scorers: [f1, rouge_l, chrf, perplexity, judged.py@tone]
      metrics: [bleu, corpus_chrf]
    letters: {data: data/raw/letters.json, document: text, metrics: [bits_per_byte]}
    arc: {inspect: tasks/arc.py@arc_easy, args: {limit: 20}}
  matrix:
    - {runs: {corpus: A}, tasks: [english, italian, stance, age, summary, letters, arc]}
    - {runs: {corpus: B}, tasks: [english, italian, stance, age, summary, letters]}
"""
OWN_SCORER = '''
from inspect_ai.scorer import Score, mean, scorer


@scorer(metrics=[mean()])
def tone():
    async def score(state, target):
        words = state.output.completion.split()
        return Score(value=float("nan") if len(words) < 3 else len(set(words)) / len(words), explanation="words that differ")
    return score
'''
LABELS = ("agree", "disagree", "neither")
WORDS = ("the", "old", "house", "stands", "on", "a", "hill", "and", "nobody", "lives", "there", "since", "winter", "came")
FAILED, STALE = "corpus-B_r16_s2", "corpus-B_r4_s2"
OF_INSPECT, OF_RANK = 20, {4: 0.0, 16: 0.08}


def make_broad(root: Path) -> None:
    """The experiment in a folder, judged and reported; the working folder is its root."""
    _write_rows(root / "data/raw")
    for model in ("tiny", "published"):
        (root / "models" / model).mkdir(parents=True)
        (root / "models" / model / "config.json").write_text("{}")
        (root / "models" / model / "model.safetensors").write_bytes(model.encode())
    (root / "tasks").mkdir()
    (root / "tasks/arc.py").write_text("# the task\n")
    (root / "judged.py").write_text(OWN_SCORER)
    plan(EXPERIMENT)
    rng = np.random.default_rng(0)
    for run_id in ids():
        run = read_run(run_id)
        if run_id == FAILED:
            record_job(run_id, "train", "failed", "out of memory", Work().inputs(run, "train"))
            continue
        if not run.is_control:
            finish_training(run_id)
        for task in run.asked:
            _answer(run, task, rng)
        finish(run_id, "eval")
    edit_eval(STALE)
    assert score.main([]) == 0
    make_report()


def _write_rows(folder: Path) -> None:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(1)

    def labelled(name: str, count: int) -> list[dict[str, Any]]:
        return [{"input": f"{name} {k}", "output": LABELS[k % 7 % 3], "tone": ("mild", "harsh")[k % 2]} for k in range(count)]

    def words(count: int) -> str:
        return " ".join(rng.choice(WORDS, count))

    files = {
        "a": labelled("first", 80), "b": labelled("second", 80), "english": labelled("english", 60),
        "italian": labelled("italiano è", 48),
        "ages": [{"input": f"person {k}", "output": str(20 + 7 * k % 51)} for k in range(45)],
        "summaries": [{"input": words(30), "output": words(8)} for _ in range(30)],
        "letters": [{"text": f"Dear {k}, {words(40)}"} for k in range(14)],
    }
    for name, rows in files.items():
        (folder / f"{name}.json").write_text(json.dumps(rows))


def quality(run: Run, task: str) -> float:
    """How often a run is right: a control seldom; a corpus helps most in its own language."""
    if run.is_control:
        return 0.55 if run.is_other else 0.35
    home = {"A": "english", "B": "italian"}[run.levels["corpus"]]
    return 0.62 + OF_RANK[run.levels["lora_rank"]] + (0.15 if task == home else 0.0) + 0.02 * (run.levels["seed"] - 1)


def _answer(run: Run, task: Task, rng: np.random.Generator) -> None:
    """The logs of a run's answers to a task."""
    if task.kind == "inspect":
        _answer_inspect(run, task, rng)
        return
    right = quality(run, task.name)
    said = {item["item"]: [_said(task, item["row"], right, rng)] for item in rows_of(task)}
    write_answers(Asked(run, task.name), said, has_samples=False)
    if task.askings != (task.name,):
        measured = {item["item"]: [("", _nats(item["row"]["output"], right, rng))] for item in rows_of(task)}
        write_answers(Asked(run, task.name + REFERENCE), measured, has_samples=False)


def _said(task: Task, row: dict[str, Any], right: float, rng: np.random.Generator) -> tuple[str, dict[str, Any] | None]:
    """One answer, and what is measured of it."""
    if task.kind == "document":
        return "", _nats(row["text"], right, rng)
    is_right, target = rng.random() < right, row["output"]
    if task.kind == "options":
        likelihoods = rng.normal(0, 1, len(LABELS)) + 2 * right * (np.array(LABELS) == target)
        return "", {"options": list(LABELS), "conditional": likelihoods.tolist(), "unconditional": [-1.0, -2.0, -3.0]}
    if task.name == "age":
        text = "no idea" if rng.random() < 0.05 else f"about {int(target) + round(rng.normal(0, 20 * (1 - right)))} years"
        return text, None
    if task.name == "summary":
        words = [word if rng.random() < right else str(rng.choice(WORDS)) for word in target.split()]
        return " ".join(words[: 8 if is_right else 2]), None
    wrong = rng.choice([*(label for label in LABELS if label != target), "I do not know", target.title()])
    return target if is_right else str(wrong), None


def _nats(text: str, right: float, rng: np.random.Generator) -> dict[str, Any]:
    tokens = len(text.split())
    return {"nll": tokens * (2.5 - right) + float(rng.normal(0, 0.5)), "tokens": tokens, "bytes": len(text.encode())}


def _answer_inspect(run: Run, task: Task, rng: np.random.Generator) -> None:
    """The log of a task of inspect-ai: samples with scores of its own."""
    from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalResults, EvalSample, EvalSpec, write_eval_log
    from inspect_ai.model import ModelOutput
    from inspect_ai.scorer import Score

    samples = []
    for number in range(OF_INSPECT):
        is_right, answer = rng.random() < quality(run, task.name), "ABCD"[number % 4]
        said = answer if is_right else "E"
        samples.append(EvalSample(
            id=number, epoch=1, input=f"Which is {number}?", target=answer, output=ModelOutput.from_content("x", said),
            scores={"choice": Score(value="C" if is_right else "I", answer=said), "speed": Score(value=float(rng.random()))},
        ))
    spec = EvalSpec(
        created="2026-01-01T00:00:00+00:00", task=task.name, dataset=EvalDataset(samples=OF_INSPECT), model="ftexp/x",
        config=EvalConfig(), metadata={"experiment": run.experiment, "run": run.id, "asking": task.name}, task_version=2,
    )
    counts = EvalResults(total_samples=OF_INSPECT, completed_samples=OF_INSPECT)
    path = Path(f"runs/{run.id}/eval/{task.name}.eval")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_eval_log(EvalLog(status="success", eval=spec, samples=samples, results=counts), str(path))
