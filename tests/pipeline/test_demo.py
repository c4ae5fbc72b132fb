"""The demo, as the README has it run."""

from helpers.experiments import REPOSITORY, make, results


def test_the_demo_answers_its_question() -> None:
    """`make demo`, as the README says: at once where it is done, and about 5 minutes where it is not."""
    made = make(REPOSITORY, "demo")
    table = results(REPOSITORY / "demo/capitalization")
    cells = {(row["lora_rank"], row["lr"]): float(row["score"]) for row in table.values() if row["kind"] == "trained"}
    assert len(table) == 9 and len(cells) == 4
    assert float(table["base"]["score"]) <= 0.10
    assert max(cells.values()) >= 0.80
    assert max(cells.values()) - min(cells.values()) > 0.3
    assert "report.html" in made.stdout
    assert "lr, averaged over lora_rank: 3e-3 instead of 1e-4 raises exact by" in made.stdout
