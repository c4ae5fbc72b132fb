"""validate looks at the rows of a head as a head has them: prompts and labels, and no answer that is written."""

from pathlib import Path

import pytest
import yaml
from ftexp.checks.token_check import TokenReport, check_tokens
from ftexp.design.planning import read_run
from ftexp.ground import paths
from ftexp.models.chat import Chat
from helpers.tiny_models import TinyExperiment, make_experiment

LABELS = ("a word of an even number", "a word of an odd number")
ROWS = [{"input": f"word{n}", "output": LABELS[n % 2]} for n in range(24)]
WAY = {"way": {"text": {"head": None}, "head": {"head": "classification"}}}
LIMIT = "experiment.yaml: evaluation.max_tokens: is 8, but the longest reference answer has"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyExperiment:
    """An experiment on labels that are longer than max_tokens."""
    return make_experiment(tmp_path_factory.mktemp("heads"), "qwen2", "chatml", factors=WAY, rows=ROWS)


@pytest.fixture(autouse=True)
def there(tiny: TinyExperiment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny.root)


def report_of(name: str) -> TokenReport:
    run = read_run(name)
    return check_tokens(run, Chat("models/tiny", run.prompt["date"]))


def test_what_is_of_written_answers_is_said_of_those_that_write_them() -> None:
    text, head = report_of("way-text"), report_of("way-head")
    assert text.errors[0].startswith(LIMIT) and "⟦" in text.example
    assert head.errors == [] and head.warnings == []
    assert head.example.startswith("<|im_start|>user\nsay: word") and head.example.endswith(("even number'⟧", "odd number'⟧"))
    assert all(short < long for short, long in zip(head.lengths, text.lengths, strict=True))


@pytest.mark.parametrize(("section", "key", "value", "message"), [
    ("model", "labels", list(LABELS[::-1]), r"trains label \d, which is not its answer where the run is evaluated"),
    ("dataset", "user", "ask: {input}", "its tokens are not those of evaluation. Report it"),
    ("model", "labels", [LABELS[0], "other"], "the answer 'a word of an odd number' is none of the labels of the config."),
])
def test_rows_that_a_config_makes_otherwise_are_an_error(section: str, key: str, value: object, message: str) -> None:
    path = paths.RunPaths("way-head").finetune_yaml
    good = path.read_text(encoding="utf-8")
    config = yaml.safe_load(good)
    config[section][key] = value
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    try:
        with pytest.raises(Exception, match=message) as caught:
            raise AssertionError("\n".join(report_of("way-head").errors))
        assert str(Path("data/splits")) in str(caught.value)
    finally:
        path.write_text(good, encoding="utf-8")
