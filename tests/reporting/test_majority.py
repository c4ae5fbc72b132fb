"""The commonest answer stands beside every score: in the table, the plots, the first sentences, and what `make cite` prints."""

import html
import json
from pathlib import Path

import cite
import pytest
from ftexp.ground import paths
from helpers.fake_results import finish_eval, finish_training, ids, make_report, plan, results

EXPERIMENT = """
experiment: sexes
question: Does rank matter?
data: {source: data/raw/people.json, split: {train: 0.5, validation: 0, test: 0.5, seed: 0, stratify: output}}
factors:
  lora_rank: [2, 16]
  seed: [1, 2]
constants: {model: tiny, batch_size: 2, dtype: fp32}
evaluation: {scorer: exact, max_tokens: 8, metrics: [macro_f1]}
"""


def people(count: int, women: int) -> str:
    return json.dumps([{"input": f"person {n}", "output": "female" if n < women else "male"} for n in range(count)])


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished experiment whose r2 runs say 'female' to all, and whose r16 runs are right about nearly all."""
    root = tmp_path_factory.mktemp("majority")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DVC_ROOT", raising=False)
        patch.chdir(root)
        Path("data/raw").mkdir(parents=True)
        Path("data/raw/people.json").write_text(people(200, 120))
        Path("models/tiny").mkdir(parents=True)
        Path("models/tiny/config.json").write_text("{}")
        Path("models/tiny/model.safetensors").write_bytes(b"weights")
        plan(EXPERIMENT)
        lines = next(paths.SPLITS_DIR.glob("*/test.jsonl")).read_text().splitlines()
        women = [json.loads(line)["row"]["output"] == "female" for line in lines]
        for run in ids():
            if run != "base":
                finish_training(run)
            finish_eval(run, lambda i, run=run: women[i] if "r2" in run else run != "base" and i % 20 > 0)  # type: ignore[misc]
        make_report()
    return root


@pytest.fixture(autouse=True)
def _enter(reported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(reported)
    monkeypatch.delenv("DVC_ROOT", raising=False)


def test_it_stands_beside_every_score_of_the_table_with_chance(capsys: pytest.CaptureFixture[str]) -> None:
    assert {(row["majority"], row["chance"]) for row in results().values()} == {("0.6", "0.5")}
    make_report()
    shown = capsys.readouterr().out
    assert "majority" in shown and "0.600" in shown and "chance" in shown


def test_the_first_sentence_says_which_cells_are_above_it() -> None:
    page = html.unescape(paths.REPORT_HTML.read_text())
    first = page[page.index('<ul class="answers">') :].split("</li>")[0]
    assert (
        "Scores (exact): 1 of 2 cells is above always saying 'female', 0.600 (chance 0.500); "
        "the means are 0.600 to 0.950; not told from it: lora_rank=2 (0, 95 % interval"
    ) in first


def test_it_is_a_line_of_the_plots_of_scores() -> None:
    page = html.unescape(paths.REPORT_HTML.read_text())
    assert "Dotted: always giving the commonest answer, 0.600 (chance 0.500)." in page


def test_cite_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert cite.main([ids()[1]]) == 0
    assert "majority: '0.6'" in capsys.readouterr().out


def test_of_another_metric_it_is_that_metrics_value() -> None:
    paths.EXPERIMENT_YAML.write_text(EXPERIMENT.replace("metrics: [macro_f1]", "metrics: [macro_f1], primary: macro_f1"))
    make_report()
    page = html.unescape(paths.REPORT_HTML.read_text())
    assert "Scores (macro_f1): both cells are above always saying 'female', 0.375; the means are 0.500 to 0.97" in page
    assert "Dotted: always giving the commonest answer, 0.375." in page


def test_metrics_over_classes_have_the_majoritys_own_value_each() -> None:
    metrics = "metrics: [macro_f1, balanced_accuracy], primary: balanced_accuracy"
    paths.EXPERIMENT_YAML.write_text(EXPERIMENT.replace("metrics: [macro_f1]", metrics))
    make_report()
    page = html.unescape(paths.REPORT_HTML.read_text())
    assert "Scores (balanced_accuracy): 1 of 2 cells is above always saying 'female', 0.500; the means are 0.500 to 0.946" in page
    assert "not told from it: lora_rank=2 (0, no interval)" in page
    assert "Few test rows" not in page
