"""Abstracts from `make setup` to the results: perplexity of base and adapters by both trainers, and beginnings completed."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY
from cookiecutter.main import cookiecutter
from helpers.experiments import edit, make
from warm.environment import warm_environment

WORDS = ("cells", "light", "graphs", "oceans", "proofs", "stones", "rivers", "fields")
DESIGN = """\
experiment: papers
question: Who learns the abstracts?
data: {source: abstracts.json, text: abstract, split: {train: 0.6, test: 0.4}}
factors:
  trainer: [torchtune, transformers]
constants: {model: MODEL, lr: 1e-2, lora_rank: 4, batch_size: 8, epochs: 2}
evaluation:
  max_tokens: 24
  tasks:
    whole: {}
    rest: {complete: {after: {sentences: 0.5}}, scorers: [rouge_l, perplexity]}
"""


def texts() -> list[dict[str, str]]:
    return [
        {"abstract": f"We study {WORDS[n % 8]} of {WORDS[n % 5]}. Case {n} is known. More {WORDS[n % 3]} are needed. So it is."}
        for n in range(80)
    ]


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The experiment after `make all`."""
    root = tmp_path_factory.mktemp("papers")
    (root / "abstracts.json").write_text(json.dumps(texts()), encoding="utf-8")
    model = json.loads((REPOSITORY / "cookiecutter.json").read_text(encoding="utf-8"))["model"]
    (root / "design.yaml").write_text(DESIGN.replace("MODEL", model), encoding="utf-8")
    answers = {"experiment_name": "papers", "design": str(root / "design.yaml")}
    cookiecutter(str(REPOSITORY), no_input=True, extra_context=answers, output_dir=str(root), default_config=True)
    make(root / "papers", "setup", f"VENV={warm_environment()}")
    make(root / "papers", "all")
    return root / "papers"


def table(folder: Path) -> dict[tuple[str, str, str], dict[str, str]]:
    with (folder / "results.csv").open(encoding="utf-8", newline="") as file:
        return {(row["run"], row["task"], row["metric"]): row for row in csv.DictReader(file)}


def score(rows: dict[tuple[str, str, str], Any], run: str, task: str, metric: str) -> float:
    return float(rows[run, task, metric]["score"])


@pytest.mark.slow
def test_base_and_adapters_have_both_perplexities_and_two_trainers_learn_the_same(papers: Path) -> None:
    rows = table(papers)
    runs = list(dict.fromkeys(run for run, _, _ in rows))
    assert len(runs) == 3 and runs[0].startswith("base")
    assert {(task, metric) for _, task, metric in rows} == {
        ("whole", "perplexity"), ("whole", "item_perplexity"), ("rest", "rouge_l"), ("rest", "perplexity"),
    }
    assert all(row["eval_status"] == "done" and row["n"] == "32" and row["unscored"] == "0" for row in rows.values())
    for metric in ("perplexity", "item_perplexity"):
        base, one, other = (score(rows, run, "whole", metric) for run in runs)
        assert 1 < one < base / 2 and one == pytest.approx(other, rel=1e-2)
        assert all(float(rows[run, "whole", metric]["diff_control"]) < 0 for run in runs[1:])
    assert score(rows, runs[1], "rest", "perplexity") < score(rows, runs[0], "rest", "perplexity")


@pytest.mark.slow
def test_another_cut_asks_that_task_again_and_trains_nothing(papers: Path) -> None:
    before = {path: path.read_bytes() for path in papers.glob("runs/*/train.json")}
    whole = [row for key, row in table(papers).items() if key[1] == "whole"]
    edit(papers / "experiment.yaml", "sentences: 0.5", "words: 4")
    assert "eval.py of task rest" in make(papers, "stamp", "status").stdout
    made = make(papers, "all")
    assert "train: 0 to do, 2 done" in made.stderr and "eval: 3 to do, 0 done" in made.stderr
    assert {path: path.read_bytes() for path in papers.glob("runs/*/train.json")} == before
    assert [row for key, row in table(papers).items() if key[1] == "whole"] == whole


@pytest.mark.slow
def test_documents_are_rehearsed_as_they_are_trained(papers: Path) -> None:
    made = make(papers, "rehearse")
    assert "item_perplexity" in (papers / "rehearsal/results.csv").read_text(encoding="utf-8"), made.stderr[-2000:]
