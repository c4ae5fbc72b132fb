"""A finished experiment is asked more, and judged by more: from experiment.yaml to results.csv, on the trainings that it has.

Choices of a survey with probabilities, documents with perplexity of base and adapters, summaries with rouge and semscore, a task
of inspect-ai, a judge of one's own.
"""

import csv
import json
import math
from pathlib import Path
from string import ascii_lowercase

import pandas as pd
import pytest
import torch
from helpers.experiments import REPOSITORY, edit, make, times
from helpers.pipeline_experiment import RUNS, copy_into
from transformers import BertConfig, BertModel, BertTokenizerFast

Times = dict[str, tuple[int, int]]
TASKS = """\
evaluation:
  max_tokens: 16
  tasks:
    test: {}
    vote:
      {data: data/raw/survey.csv, input: profile, output: vote, choices: [Clinton, Dole], cluster: profile,
       metrics: [macro_f1, brier, ece, auc]}
    letters: {data: data/raw/letters.jsonl, document: text}
    short: {data: data/raw/short.jsonl, scorers: [rouge_l, {semscore: {model: tiny-bert}}]}
    copy: {inspect: tasks/copy.py@copying, args: {limit: 4}}
  scorers: [exact, perplexity, judged.py@loud]
  primary: test/exact
"""
INSPECT_TASK = '''
from inspect_ai import Task, task
from inspect_ai.dataset import json_dataset
from inspect_ai.scorer import includes
from inspect_ai.solver import generate

@task
def copying(limit: int) -> Task:
    return Task(dataset=json_dataset("copy.jsonl", limit=limit), solver=generate(), scorer=includes(), version=7)
'''
JUDGE = '''
from inspect_ai.scorer import Score, mean, scorer

@scorer(metrics=[mean()])
def loud():
    async def score(state, target):
        return Score(value=state.output.completion.isupper(), explanation="as it is spelt")
    return score
'''


def make_embedding_model(folder: Path) -> None:
    folder.mkdir(parents=True)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *ascii_lowercase, *(f"##{letter}" for letter in ascii_lowercase)]
    (folder / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=40).save_pretrained(folder)
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(len(words), **shape, max_position_embeddings=64)).save_pretrained(folder)


def write_lines(path: Path, rows: list[dict[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture(scope="module")
def broad(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_into(finished, tmp_path_factory.mktemp("broad"))
    with (REPOSITORY / "data/survey.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = list(csv.reader(file))
    with (folder / "data/raw/survey.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows[:30]])
    raw = folder / "data/raw"
    write_lines(raw / "letters.jsonl", [{"text": f"letter number {n} to a friend"} for n in range(5)])
    write_lines(raw / "short.jsonl", [{"input": f"long text number {n}", "output": f"text {n}"} for n in range(5)])
    words = ("house", "garden", "water", "stone", "bread")
    write_lines(folder / "tasks/copy.jsonl", [{"input": word, "target": word} for word in words])
    (folder / "tasks/copy.py").write_text(INSPECT_TASK, encoding="utf-8")
    (folder / "judged.py").write_text(JUDGE, encoding="utf-8")
    make_embedding_model(folder / "data/models/tiny-bert")
    text = (folder / "experiment.yaml").read_text(encoding="utf-8")
    start = text.index("evaluation:")
    end = text.find("\n", start) + 1
    (folder / "experiment.yaml").write_text(text[:start] + TASKS + text[end:], encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def before(broad: Path) -> Times:
    """The files of the experiment before it was asked more; then it is."""
    known = times(broad)
    make(broad, "all")
    return known


def table(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "results.csv", keep_default_na=False, dtype=str).set_index(["run", "task", "metric"])


@pytest.mark.slow
def test_new_tasks_and_judgements_train_nothing_and_ask_nothing_again(broad: Path, before: Times) -> None:
    after = times(broad)
    kept = [name for name in before if name.startswith("runs/") and name.endswith(("train.json", ".safetensors", "train.csv"))]
    assert len(kept) == 3 * len(RUNS) and all(before[name] == after[name] for name in kept)
    old = (broad / "runs/base/eval/test.eval").read_bytes()
    make(broad, "eval", "score")
    assert (broad / "runs/base/eval/test.eval").read_bytes() == old
    logs = {path.stem for path in (broad / "runs/base/eval").iterdir()}
    assert logs == {"test", "test.reference", "vote", "vote.reference", "letters", "short", "copy"}


@pytest.mark.slow
def test_results_have_a_row_per_run_task_and_metric(broad: Path, before: Times) -> None:
    found = table(broad)
    metrics = {
        "test": ["exact", "perplexity", "loud"], "vote": ["exact", "perplexity", "loud", "macro_f1", "brier", "ece", "auc"],
        "letters": ["perplexity"], "short": ["rouge_l", "semscore"], "copy": ["includes"],
    }
    wanted = [(run, task, name) for run in ("base", *RUNS) for task, names in metrics.items() for name in names]
    assert list(found.index) == wanted
    assert set(found["eval_status"]) == {"done"} and (found["score"] != "").all(), found[found["score"] == ""]
    assert found.loc[("base", "copy", "includes"), "score"] == "1" and found.loc[("base", "copy", "includes"), "n"] == "4"


@pytest.mark.slow
def test_probabilities_of_choices_and_the_perplexity_of_base_and_adapters(broad: Path, before: Times) -> None:
    items = pd.read_parquet(broad / "items.parquet")
    vote = items[(items["task"] == "vote") & (items["run"] == "base")]
    assert len(vote) == 30 and all(math.isclose(sum(each), 1) for each in vote["probabilities"])
    assert set(vote["completion"]) <= {"Clinton", "Dole"}
    found = table(broad)
    share = (vote["completion"] == vote["target"]).mean()
    assert math.isclose(float(found.loc[("base", "vote", "exact"), "score"]), share, rel_tol=1e-5)
    letters = items[items["task"] == "letters"]
    for run, rows in letters.groupby("run", observed=True):
        perplexity = math.exp(rows["nll"].sum() / rows["tokens"].sum())
        assert math.isclose(float(found.loc[(run, "letters", "perplexity"), "score"]), perplexity, rel_tol=1e-5)
    assert len({found.loc[(run, "letters", "perplexity"), "score"] for run in ("base", *RUNS)}) == 3


@pytest.mark.slow
def test_another_judgement_generates_nothing(broad: Path, before: Times) -> None:
    before_it = times(broad)
    edit(broad / "experiment.yaml", "scorers: [exact, perplexity,", "scorers: [exact, includes, perplexity,")
    make(broad, "all")
    after = times(broad)
    assert all(before_it[name] == after[name] for name in before_it if name.startswith("runs/"))
    assert table(broad).loc[("base", "test", "includes"), "score"] != ""
