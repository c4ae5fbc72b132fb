"""What is said of the comparison is said once, in the same sentences, by plan and validate, also where nothing changed."""

from pathlib import Path

import plan as plan_stage
import pytest
import validate as validate_stage
from helpers.tiny_models import make_experiment

ROWS = [{"input": f"word{n}", "output": "no" if n < 4 else "yes"} for n in range(40)]

BEGINNINGS = (
    "factors.train_size: also changes the number of steps", "lora_rank: 128 is above", "lora_rank: 128 trains",
    "evaluation.metrics: macro_f1 counts each of the 2 classes alike, and these have fewer than 5 of the 20 test rows: 'no' ",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment with a confound, a rank beyond its model, and a class of few test rows."""
    return make_experiment(
        tmp_path_factory.mktemp("cautions") / "tiny", "qwen2", "chatml", rows=ROWS,
        factors={"train_size": [4, 16], "seed": [1, 2]}, constants={"lora_rank": 128}, evaluation={"metrics": ["macro_f1"]},
    ).root


def warnings(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("warning: experiment.yaml")]


def test_plan_and_validate_say_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    assert plan_stage.main([]) == 0
    said = warnings(capsys.readouterr().out)
    for line, words in zip(said, BEGINNINGS, strict=True):
        assert line.startswith(f"warning: experiment.yaml: {words}")
    for _ in range(2):
        assert validate_stage.main([]) == 0
        assert warnings(capsys.readouterr().err) == said
