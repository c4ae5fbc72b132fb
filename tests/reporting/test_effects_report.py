"""From a simulated experiment of three factors to effects.csv, items.parquet, figures, sentences and cite."""

import html
import re
from pathlib import Path

import cite
import numpy as np
import pandas as pd
import pytest
import yaml
from ftexp.design.evaluation_section import check_evaluation
from ftexp.effects import COLUMNS, detectable, effects
from ftexp.effects.columns import COLUMN_MEANINGS
from ftexp.ground import paths
from ftexp.ground.errors import Findings, UserError
from ftexp.reporting.columns import tables_page
from ftexp.reporting.conclusions import conclusions
from ftexp.reporting.number_words import shown
from ftexp.results.measures import measures_of
from ftexp.results.recorded import Recorded
from helpers.fake_results import make_report, plan, results
from helpers.recorded_tables import analysis_here
from helpers.simulated_survey import EMPTY_CELL, PASSAGES

REPOSITORY = Path(__file__).resolve().parents[2]
KINDS = {"level", "main", "interaction", "trend", "control", "average"}

pytestmark = pytest.mark.usefixtures("outside_of_dvc")


def test_every_kind_of_row_appears_in_both_scopes_and_within_groups(survey: Path) -> None:
    table = pd.read_csv(paths.EFFECTS_CSV)
    assert tuple(table.columns) == COLUMNS
    assert set(table["kind"]) == KINDS | {f"{kind} within language" for kind in KINDS}
    for kind, rows in table.groupby("kind"):
        assert set(rows["scope"]) == {"models", "recipe"}, kind
        assert rows["estimate"].notna().any(), kind
    assert set(table["metric"]) == {"exact", "macro_f1"}
    assert table[table["metric"] == "exact"]["family"].str.startswith("confirmatory").all()
    assert table[table["metric"] == "macro_f1"]["family"].str.startswith("exploratory").all()
    assert table[table["metric"] == "macro_f1"]["method"].dropna().str.contains("paired; clusters").all()
    assert table["n_clusters"].max() <= PASSAGES


def test_the_missing_cell_is_an_empty_row_with_its_reason_and_a_warning_elsewhere(survey: Path) -> None:
    table = pd.read_csv(paths.EFFECTS_CSV)
    own = table[(table["kind"] == "control") & (table["level"] == "lr=3e-3, lora_rank=16, loss=full")]
    assert len(own) == 4 and own["estimate"].isna().all() and own["reason"].str.contains("no finished run of").all()
    main = table[(table["kind"] == "main") & (table["level"] == "3e-3") & (table["metric"] == "exact")]
    assert set(main["n_strata"]) == {3} and main["flags"].str.contains("incomplete").all()
    assert main["reason"].str.contains("_s1: failed, out of memory.*failures may depend on the factor").all()
    page = html.unescape(paths.REPORT_HTML.read_text())
    assert all(f"{EMPTY_CELL}_s{seed}" in page for seed in (1, 2, 3)) and "out of memory" in page


def test_a_main_effect_equals_the_difference_of_means_over_the_items_table(survey: Path) -> None:
    items, table = pd.read_parquet(paths.ITEMS_PARQUET), pd.read_csv(paths.EFFECTS_CSV)
    assert list(items.columns) == [
        "run", "task", "item", "epoch", "cluster", "input", "target", "completion", "is_ended", "exact", "language"]
    assert len(items) == (1 + 45) * items["item"].nunique() and set(items["cluster"]) <= {f"p{i}" for i in range(PASSAGES)}
    levels = pd.read_csv(paths.RUNS_CSV).set_index("run")[["lora_rank", "lr", "loss"]]
    means = items.groupby("run")["exact"].mean().to_frame().join(levels).dropna()
    cells = means.groupby(["lr", "loss", "lora_rank"])["exact"].mean().unstack()
    wanted = (cells[16] - cells[2]).dropna().mean()
    row = table[(table["kind"] == "main") & (table["factor"] == "lora_rank") & (table["metric"] == "exact")].iloc[0]
    assert row["estimate"] == pytest.approx(wanted, abs=1e-6) and (row["level"], row["reference"]) == ("16", "2")


def test_the_baseline_is_the_one_that_is_named(survey: Path) -> None:
    table = pd.read_csv(paths.EFFECTS_CSV)
    mains = table[(table["kind"] == "main") & (table["factor"] == "lr")]
    assert set(mains["reference"]) == {"3e-4"} and set(mains["level"]) == {"1e-4", "1e-3", "3e-3"}


def test_one_sentence_per_factor_claims_what_matters_and_nothing_else(survey: Path) -> None:
    page = html.unescape(paths.REPORT_HTML.read_text())
    said = dict(re.findall(r'<li class="(?:claim|open)">(lr|lora_rank|loss|Fine-tuning raises|Interactions)(.*?)</li>', page))
    table = pd.read_csv(paths.EFFECTS_CSV)
    recipe = table[(table["scope"] == "recipe") & (table["metric"] == "exact")]
    row = recipe[(recipe["kind"] == "main") & (recipe["level"] == "3e-3")]
    size, low, high = (f"{row.iloc[0][name]:.3f}" for name in ("estimate", "low", "high"))
    assert "against 3e-4, exact changes by −0." in said["lr"] and f"+{size} at 3e-3 ({low} to {high})" in said["lr"]
    assert "per doubling over all levels (95 % interval 0." in said["lr"]
    assert re.search(r"16 instead of 2 raises exact by 0\.\d{3} \(95 % interval 0\.\d{3} to 0\.\d{3}\)", said["lora_rank"])
    assert "nothing to claim for full" in said["loss"] and "covers 0" in said["loss"] and "With 80 % power" in said["loss"]
    assert "raises" not in said["loss"] and "lowers" not in said["loss"]
    assert page.count("The intervals are over new items and new seeds") == 1, "what all sentences share is said once"
    assert '<li class="open">In all of this: The intervals are over new items and new seeds.' in page
    assert "by 0." in said["Fine-tuning raises"] and "Interactions" in said


def test_what_does_not_outlast_holms_correction_is_said_to_and_is_no_claim(survey: Path) -> None:
    table, analysis = pd.read_csv(paths.EFFECTS_CSV), analysis_here()
    before = {conclusion.subject: conclusion for conclusion in conclusions(table, analysis)}
    table.loc[table["kind"].isin(["main", "interaction"]), "p_holm"] = 0.06
    after = {conclusion.subject: conclusion for conclusion in conclusions(table, analysis)}
    assert before["lora_rank"].is_claim and "Holm" not in before["lora_rank"].text
    assert not after["lora_rank"].is_claim and "though not after Holm's correction" in after["lora_rank"].text
    assert after["loss"] == before["loss"] and not after["interactions"].is_claim


def test_an_interaction_is_said_as_what_one_factor_adds_at_a_level_of_the_other(survey: Path) -> None:
    table, analysis = pd.read_csv(paths.EFFECTS_CSV), analysis_here()
    own = (table["kind"] == "interaction") & (table["factor"] == "lr x lora_rank") & (table["level"] == "3e-3 x 16")
    table.loc[own, ["estimate", "low", "high", "p_holm", "flags"]] = [-0.2, -0.3, -0.1, 0.001, "ceiling; scale-dependent"]
    said = next(c for c in conclusions(table, analysis) if c.subject == "interactions")
    what = "what lr 3e-3 instead of 3e-4 adds at lora_rank 16 differs by −0.200 from what it adds at lora_rank 2"
    assert said.is_claim and what in said.text and "from the scale alone" in said.text


def test_the_metric_that_is_named_primary_is_what_sentences_and_plots_are_about(survey: Path) -> None:
    text = paths.EXPERIMENT_YAML.read_text().replace("metrics: [macro_f1]", "metrics: [macro_f1], primary: macro_f1")
    paths.EXPERIMENT_YAML.write_text(text)
    make_report()
    table, page = pd.read_csv(paths.EFFECTS_CSV), html.unescape(paths.REPORT_HTML.read_text())
    row = table[(table["kind"] == "main") & (table["factor"] == "lora_rank") & (table["metric"] == "macro_f1")].iloc[1]
    assert row["family"].startswith("confirmatory") and row["scope"] == "recipe"
    assert f"raises macro_f1 by {row['estimate']:.3f} (95 % interval {row['low']:.3f} to {row['high']:.3f})" in page
    items = pd.read_parquet(paths.ITEMS_PARQUET)
    assert float(results("macro_f1")["base"]["score"]) == pytest.approx(macro_f1(items[items["run"] == "base"]), rel=1e-5)


def test_fine_tuning_that_shows_nothing_claims_nothing(survey: Path) -> None:
    table, analysis = pd.read_csv(paths.EFFECTS_CSV), analysis_here()
    table.loc[table["kind"] == "average", ["estimate", "low", "high"]] = [0.01, -0.02, 0.04]
    first = conclusions(table, analysis)[0]
    assert first.text.startswith("Fine-tuning: nothing to claim") and "−0.020 to 0.040" in first.text and not first.is_claim
    table.loc[table["kind"] == "average", ["estimate", "low", "high"]] = [-0.03, -0.05, -0.01]
    assert "Fine-tuning lowers exact by 0.030" in conclusions(table, analysis)[0].text
    assert conclusions(table[table["metric"] == "none"], analysis) == []


def test_the_page_says_per_factor_what_this_design_could_have_shown(survey: Path) -> None:
    table = pd.read_csv(paths.EFFECTS_CSV)
    sizes = detectable(table[table["metric"] == "exact"]).set_index(["factor", "scope"])["detectable"]
    section = paths.REPORT_HTML.read_text().partition("with 80 % power</h3>")[2].partition("</table>")[0]
    cells = r'<td class="">(.*?)</td>' + 2 * r'<td class="number">(.*?)</td>'
    shown = {name: (float(models), float(recipe)) for name, models, recipe in re.findall(cells, section)}
    assert set(shown) == {"lr", "lora_rank", "loss"}
    for name, (models, recipe) in shown.items():
        assert (models, recipe) == pytest.approx((sizes[name, "models"], sizes[name, "recipe"]), abs=6e-4)


def test_a_sentence_says_when_one_seed_says_nothing_of_the_next(survey: Path) -> None:
    text = paths.EXPERIMENT_YAML.read_text().replace("seed: [1, 2, 3]", "seed: [1]")
    plan(text)
    make_report()
    table = pd.read_csv(paths.EFFECTS_CSV)
    recipe = table[(table["scope"] == "recipe") & (table["kind"] == "main")]
    assert recipe["low"].isna().all() and recipe["reason"].str.contains("one seed says nothing about the next").all()
    page = html.unescape(paths.REPORT_HTML.read_text())
    assert "new items only: one seed says nothing about the next" in page and "over new items and new seeds" not in page


def test_figures_lie_beside_the_page_as_svg_and_png_and_old_ones_go(survey: Path) -> None:
    names = {path.stem for path in paths.FIGURES_DIR.glob("*.svg")}
    assert names == {path.stem for path in paths.FIGURES_DIR.glob("*.png")}
    factors = ("lr", "lora_rank", "loss")
    pairs = ("lr-lora_rank", "lr-loss", "lora_rank-loss")
    of_factors = {f"{kind}-{name}" for kind in ("effect", "score") for name in factors}
    assert names == {*of_factors, *(f"interaction-{pair}" for pair in pairs), "curves", "confusion-test"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths.FIGURES_DIR.glob("*.png"))
    without_rank = paths.EXPERIMENT_YAML.read_text().replace("  lora_rank: [2, 16]\n", "")
    plan(without_rank.replace("constants: {", "constants: {lora_rank: 16, "))
    make_report()
    assert not (paths.FIGURES_DIR / "effect-lora_rank.svg").exists()


def test_what_is_read_from_the_tables_gives_the_same_effects(survey: Path) -> None:
    """effects is a pure function of two tables: items.parquet and runs.csv are enough."""
    analysis = analysis_here()
    items = pd.read_parquet(paths.ITEMS_PARQUET).rename(columns={"exact": "score"}).assign(metric="exact")
    runs = pd.read_csv(paths.RUNS_CSV, dtype=str)
    runs["control"] = np.where(runs["kind"] == "trained", "base", "")
    again = effects(items.assign(**{"group:language": "all"}), runs, analysis)
    written = pd.read_csv(paths.EFFECTS_CSV)
    plain = [table[(table["metric"] == "exact") & table["kind"].isin(KINDS)] for table in (again, written)]
    for name in ("estimate", "se", "low", "p_holm"):
        np.testing.assert_allclose(*(table[name].to_numpy(float) for table in plain), rtol=1e-5)


def macro_f1(items: pd.DataFrame) -> float:
    """By hand: mean over the targets' labels of F1."""
    scores = []
    for label in items["target"].unique():
        given, claimed = items["target"] == label, items["completion"].str.strip() == label
        scores.append(2 * (given & claimed).sum() / (given.sum() + claimed.sum()))
    return float(np.mean(scores))


def test_labels_are_codes_of_the_targets_and_any_other_answer_is_none() -> None:
    frame = pd.DataFrame({
        "run": "base", "task": "test", "item": [*map(str, range(15))], "epoch": 1, "cluster": [*map(str, range(15))],
        "target": list("aabbc") * 3, "completion": ["a", "b", " b", "no label", "c\n"] * 3,
    })
    evaluation = check_evaluation(Findings("experiment.yaml"), {"metrics": ["macro_f1"]}, {})
    scores = measures_of(Recorded(frame, {}, {}, {}, {}), evaluation).scores
    codes = scores[scores["metric"] == "macro_f1"]
    assert codes["target"].tolist() == [0, 0, 1, 1, 2] * 3 and codes["prediction"].tolist() == [0, 1, 1, -1, 2] * 3


def test_cite_prints_all_that_a_number_stands_on(survey: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_id = "lr3e-4_r16_completion_s2"
    assert cite.main([run_id]) == 0
    said = yaml.safe_load(capsys.readouterr().out)
    rows = [results(metric)[run_id] for metric in ("exact", "macro_f1")]
    assert [each["score"] for each in said["results"]] == [row["score"] for row in rows] and said["control"]["run"] == "base"
    assert [(each["task"], each["metric"]) for each in said["results"]] == [("test", "exact"), ("test", "macro_f1")]
    assert said["seed"] == 2 and said["levels"]["lora_rank"] == 16
    assert list(said["logs"]) == [f"runs/{run_id}/eval/test.eval"] and len(*said["logs"].values()) == 64
    assert list(said["data"]["sources"]) == ["data/raw/rows.jsonl"] and "model.safetensors" in said["model"]["sha256"]
    assert said["config"]["resolved"] == {"run": run_id} and said["code"].keys() == {"train", "eval"}
    assert said["packages"]["train"]["torchtune"] and said["jobs"]["train"]["host"] == "node1"


@pytest.mark.parametrize(("arguments", "message"), [
    ([], "RUN: there is no run ''. Name one: make cite RUN=<id>."),
    (["lr3e-4_r16_completion_s4"], "Did you mean 'lr3e-4_r16_completion_s"),
    ([f"{EMPTY_CELL}_s1"], f"runs/{EMPTY_CELL}_s1: has no number to cite: its training is failed (out of memory). Run: make"),
])
def test_cite_refuses_what_has_no_number(survey: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(UserError) as refused:
        cite.main(arguments)
    assert message in str(refused.value)


@pytest.mark.parametrize(("value", "text"), [
    (0.1234, "0.123"), (-0.5, "−0.500"), (0.0003, "0.00030"), (-0.00004, "−0.00004"), (0.0, "0"), (1e-9, "0"),
])
def test_a_number_shows_which_side_of_0_it_is_on(value: float, text: str) -> None:
    assert shown(value) == text


def test_every_column_is_documented() -> None:
    assert tuple(row[0] for row in COLUMN_MEANINGS) == COLUMNS
    command = "PYTHONPATH=scripts python -m ftexp.reporting.columns > docs/tables.md"
    assert (REPOSITORY / "docs/tables.md").read_text() == tables_page(), command
