"""The demo, as the README has it run, against the results that the README shows."""

import csv
from pathlib import Path

import pytest
from helpers.experiments import REPOSITORY, make, results

REFERENCE = REPOSITORY / "docs/reference"
# Another kind of CPU adds up in another order, and 250 words are 0.004 each: a training is another one then in its last digits.
SCORE, LOSS = 0.05, 0.2


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_the_demo_answers_its_question_as_the_readme_shows() -> None:
    """`make demo`: at once where it is done, and some 2 minutes where it is not."""
    made = make(REPOSITORY, "demo")
    table = results(REPOSITORY / "demo/capitalization")
    cells = {(row["lora_rank"], row["lr"]): float(row["score"]) for row in table.values() if row["kind"] == "trained"}
    assert len(table) == 9 and len(cells) == 4
    assert float(table["base"]["score"]) <= 0.10
    assert max(cells.values()) >= 0.80
    assert max(cells.values()) - min(cells.values()) > 0.3
    assert "report.html" in made.stdout
    assert "lr, averaged over lora_rank: 3e-3 instead of 1e-4 raises exact by" in made.stdout
    shown = {row["run"]: row for row in rows_of(REFERENCE / "results.csv")}
    assert list(table) == list(shown)
    for run, row in shown.items():
        assert abs(float(table[run]["score"]) - float(row["score"])) <= SCORE and table[run]["n"] == row["n"]
        if row["train_loss"]:
            assert abs(float(table[run]["train_loss"]) / float(row["train_loss"]) - 1) <= LOSS
    effects = rows_of(REPOSITORY / "demo/capitalization/effects.csv")
    names = ("kind", "factor", "level", "scope", "n_items")
    assert [[row[name] for name in names] for row in effects] == [
        [row[name] for name in names] for row in rows_of(REFERENCE / "effects.csv")
    ]
