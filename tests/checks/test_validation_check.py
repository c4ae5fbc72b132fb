"""validate says of rows that validate what a training would fall over after the queue: too long, an end in an answer."""

import json
from pathlib import Path

import pytest
import split as split_stage
import stamp as stamp_stage
import yaml
from ftexp.checks.token_check import TokenReport, check_tokens
from ftexp.design.planning import read_run
from ftexp.models.chat import Chat
from ftexp.trainers.choice import config_of, trainer_of
from helpers.tiny_models import TinyExperiment, make_experiment


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyExperiment:
    """An experiment that is validated by a file, and by what is said."""
    root = tmp_path_factory.mktemp("checked")
    return make_experiment(root, "qwen2", "chatml", evaluation={"max_tokens": 16})


def _report(tiny: TinyExperiment, monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, str]], **sections: object) -> TokenReport:
    monkeypatch.chdir(tiny.root)
    Path("own.json").write_text(json.dumps(rows))
    document = yaml.safe_load(Path("experiment.yaml").read_text())
    document["data"]["validation"] = "own.json"
    document.update({"validation": {"metric": "f1"}, **sections})
    Path("experiment.yaml").write_text(yaml.safe_dump(document))
    assert (stamp_stage.main([]), split_stage.main([])) == (0, 0)
    run = read_run(tiny.run)
    return check_tokens(run, Chat("models/tiny", run.prompt["date"]))


@pytest.mark.parametrize(("row", "message"), [
    ({"input": "word" * 5000, "output": "x"}, r"validation.jsonl: item .* has 2\d+ tokens, and the model takes 16384."),
    ({"input": "w", "output": "so <|im_end|> it is"}, "validation.jsonl: item .* has <.im_end.> in its answer"),
])
def test_a_row_that_could_not_validate_is_an_error(
    tiny: TinyExperiment, monkeypatch: pytest.MonkeyPatch, row: dict[str, str], message: str
) -> None:
    report = _report(tiny, monkeypatch, [{"input": "good", "output": "Good"}, row])
    with pytest.raises(AssertionError, match=message):
        raise AssertionError("\n".join(report.errors))


def test_max_seq_len_holds_for_rows_that_validate(tiny: TinyExperiment, monkeypatch: pytest.MonkeyPatch) -> None:
    constants = {"model": "tiny", "epochs": 1, "batch_size": 2, "dtype": "fp32", "max_seq_len": 100}
    report = _report(tiny, monkeypatch, [{"input": "w" * 120, "output": "x"}], constants=constants)
    assert any("tokens, and max_seq_len is 100. Shorten or remove it" in each for each in report.errors), report.errors


def test_an_answer_that_is_longer_than_what_is_read_is_a_warning_where_it_is_scored(
    tiny: TinyExperiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    constants = {"model": "tiny", "epochs": 1, "batch_size": 2, "dtype": "fp32"}
    rows = [{"input": "w", "output": "much longer than 16 tokens are"}]
    scored = _report(tiny, monkeypatch, rows, constants=constants)
    what = "experiment.yaml: validation.metric: scores answers of at most 16 tokens, and the longest reference has"
    assert not scored.errors and any(each.startswith(what) for each in scored.warnings)
    assert not any("validation.metric" in each for each in _report(tiny, monkeypatch, rows, validation={}).warnings)


def test_torchtune_has_no_validation(tiny: TinyExperiment, monkeypatch: pytest.MonkeyPatch) -> None:
    _report(tiny, monkeypatch, [{"input": "w", "output": "x"}])
    run = read_run(tiny.run)
    assert trainer_of(run).command(run).startswith("python -m ftexp.trainers.transformers.train")
    run.settings["trainer"] = "torchtune"
    with pytest.raises(Exception, match="validation") as refused:
        config_of(run)
    assert type(refused.value).__name__ == "UserError" and "Set trainer: transformers" in str(refused.value)
