"""make power: from a finished experiment, from what is expected, and what it refuses."""

import re
import shutil
from pathlib import Path

import pandas as pd
import power
import pytest
from ftexp.effects import detectable
from ftexp.ground import paths
from ftexp.ground.errors import UserError
from ftexp.reporting.power_options import read_power_options

PROPORTION = (0.0, 1.0)

pytestmark = pytest.mark.usefixtures("outside_of_dvc")


def rows_of(out: str, factor: str) -> list[list[str]]:
    """The cells of a factor's lines, after its name."""
    return [line.split()[1:] for line in out.splitlines() if line.startswith(f"{factor} ")]


def test_power_of_a_finished_experiment_is_what_its_effects_say(
    survey: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEDS", "3")
    power.main([])
    table = pd.read_csv(paths.EFFECTS_CSV)
    sizes = detectable(table[table["metric"] == "exact"]).set_index(["factor", "scope"])["detectable"]
    out = capsys.readouterr().out
    items = str(int(table["n_items"].max()))
    same, *more = rows_of(out, "loss")
    assert "true difference in exact" in out and same[0] == items and [int(row[0]) for row in more] == [
        2 * int(items), 4 * int(items)]
    assert float(same[1]) == pytest.approx(sizes["loss", "models"], abs=1e-3)
    assert float(same[2]) == pytest.approx(sizes["loss", "recipe"], rel=0.15)
    assert float(same[2]) > float(more[0][2]) > float(more[1][2])


def test_of_a_metric_that_is_no_mean_it_is_in_its_own_units(
    survey: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEDS", "2,3")
    table = pd.read_csv(paths.EFFECTS_CSV)
    sizes = detectable(table[table["metric"] == "macro_f1"]).set_index(["factor", "scope"])["detectable"]
    text = paths.EXPERIMENT_YAML.read_text()
    paths.EXPERIMENT_YAML.write_text(text.replace("metrics: [macro_f1]", "metrics: [macro_f1], primary: macro_f1"))
    power.main([])
    out = capsys.readouterr().out
    same = rows_of(out, "loss")[0]
    assert "true difference in macro_f1" in out and float(same[1]) == pytest.approx(sizes["loss", "models"], abs=1e-3)
    assert float(same[3]) == pytest.approx(sizes["loss", "recipe"], rel=0.15) and float(same[2]) > float(same[3])


def test_power_beforehand_comes_from_what_is_expected(
    survey: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(paths.SCORES_DIR)
    with pytest.raises(UserError, match=r"scores: there are none yet. Run `make report` first.*make power MEANS="):
        power.main([])
    for name, value in {"MEANS": ".6,.7", "SEED_SD": ".02", "ITEMS": "300,3000", "SEEDS": "2,5"}.items():
        monkeypatch.setenv(name, value)
    power.main([])
    rows = rows_of(capsys.readouterr().out, "loss")
    assert [row[0] for row in rows] == ["300", "3000", "300", "3000"]
    smallest, shares = ([list(map(float, row[1:])) for row in part] for part in (rows[:2], rows[2:]))
    assert all(few > many for few, many in zip(*smallest, strict=True))
    assert all(few < many for few, many in zip(*shares, strict=True))
    assert smallest[0][1] > smallest[0][2] and 0 < shares[0][0] < 1
    monkeypatch.setenv("SEED_SD", ".02,.05")
    power.main([])
    unequal = [list(map(float, row[1:])) for row in rows_of(capsys.readouterr().out, "loss")[:2]]
    assert all(row[0] == other[0] for row, other in zip(smallest, unequal, strict=True))
    assert all(row[1] < other[1] and row[2] < other[2] for row, other in zip(smallest, unequal, strict=True))


@pytest.mark.parametrize(("name", "value", "message"), [
    ("MEANS", ".6", "MEANS: must be two different scores"), ("MEANS", ".6,1.2", "MEANS: must be two different scores"),
    ("SEEDS", "two", "SEEDS: must be whole numbers"), ("ITEMS", "0", "ITEMS: must be whole numbers above 1"),
    ("SEED_SD", ".1", "SEED_SD: says what is expected, and so needs MEANS"),
    ("SEED_SD", ".1,.6", "0 to .5, or two, one for each of MEANS, such as .02 or .02,.05, got '.1,.6'."),
    ("DIFFERENCE", "nan", "DIFFERENCE: must be a number above 0, at most 1, such as .05, got 'nan'."),
])
def test_powers_options_are_checked(
    survey: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=re.escape(message)):
        power.main([])


@pytest.mark.parametrize(("bounds", "options", "message"), [
    (PROPORTION, {"MEANS": ".6,.7", "SEED_SD": ".1,.2,.3"}, "SEED_SD: must be a number from 0 to .5, or two"),
    (PROPORTION, {"DIFFERENCE": ".1,.2"}, "DIFFERENCE: must be a number above 0, at most 1, such as .05, got '.1,.2'."),
    ((-1.0, 1.0), {"DIFFERENCE": "2.5"}, "DIFFERENCE: must be a number above 0, at most 2, such as .05, got '2.5'."),
    (None, {"DIFFERENCE": "0"}, "DIFFERENCE: must be a number above 0, such as .05, got '0'."),
    (None, {"MEANS": ".6,.7"}, "MEANS: are expected shares of right answers, but perplexity is no score from 0 to 1."),
])
def test_what_can_be_said_depends_on_the_metric(
    monkeypatch: pytest.MonkeyPatch, bounds: tuple[float, float] | None, options: dict[str, str], message: str
) -> None:
    for name, value in options.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=re.escape(message)):
        read_power_options("perplexity", bounds)


def test_a_difference_may_be_as_large_as_the_metric_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFERENCE", "30")
    assert read_power_options("perplexity", None).difference == 30
    monkeypatch.setenv("DIFFERENCE", "1.5")
    assert read_power_options("mcc", (-1.0, 1.0)).difference == 1.5
    monkeypatch.delenv("DIFFERENCE")
    monkeypatch.setenv("MEANS", ".6,.7")
    monkeypatch.setenv("SEED_SD", ".02")
    assert read_power_options("exact", PROPORTION).seed_sds == (0.02, 0.02)
