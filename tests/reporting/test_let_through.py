"""What was let through is in the results: a model that nobody has tested, as a preflight that was not green."""

import json
from pathlib import Path

import pytest
import report
import yaml
from ftexp.ground import paths
from ftexp.results.went_on import WentOn, went_on
from helpers.fake_results import finish_eval, finish_training, ids, plan, results

WORDS = [f"word{number}" for number in range(8)]
EXPERIMENT = """
experiment: untested
question: Does it matter?
data: {source: words.json, split: {train: 0.5, test: 0.5, seed: 0}}
factors: {seed: [1, 2]}
constants: {model: tiny, epochs: 2, batch_size: 2, dtype: fp32, allow_untested_model: true}
evaluation: {scorer: exact, max_tokens: 8}
"""
CONTENT = {
    "model_type": "mixtral", "vocab_size": 100, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
    "num_attention_heads": 4, "max_position_embeddings": 4096,
}
SAID = "models/tiny/config.json: model_type: is 'mixtral', and supported are llama, "


@pytest.fixture
def _finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    Path("words.json").write_text(json.dumps([{"input": word, "output": word.title()} for word in WORDS]))
    Path("models/tiny").mkdir(parents=True)
    Path("models/tiny/config.json").write_text(json.dumps(CONTENT))
    Path("models/tiny/model.safetensors").write_bytes(b"weights")
    plan(EXPERIMENT)
    for run in ids():
        if run != "base":
            finish_training(run)
        finish_eval(run, lambda place: place % 2 == 0)


@pytest.mark.usefixtures("_finished")
def test_an_untested_model_is_in_every_row_of_its_runs_and_before_all_sentences(capsys: pytest.CaptureFixture[str]) -> None:
    assert report.main([]) == 0
    rows = results()
    assert set(rows) == {"base", "s1", "s2"}
    assert all(f"nobody has tested this: {SAID}" in row["reason"] and row["score"] for row in rows.values())
    assert f"Untested: 3 of 3 runs are of a model that nobody has tested here ({SAID}" in capsys.readouterr().out
    assert "Untested: 3 of 3 runs" in paths.REPORT_HTML.read_text(encoding="utf-8")


@pytest.mark.usefixtures("_finished")
def test_the_manifests_say_it_and_the_citation_takes_it_from_them(capsys: pytest.CaptureFixture[str]) -> None:
    """The model's folder may be another by then."""
    import cite

    Path("models/tiny/config.json").write_text(json.dumps({**CONTENT, "model_type": "falcon"}))
    found = went_on({"train": "s1", "eval": "s1"})
    assert len(found.untested) == 1 and found.untested[0].startswith(SAID)
    assert found == WentOn({}, found.untested)
    Path("models/tiny/config.json").write_text(json.dumps(CONTENT))
    assert report.main([]) == 0
    capsys.readouterr()
    assert cite.main(["s1"]) == 0
    [said] = yaml.safe_load(capsys.readouterr().out.partition("loading: |")[0])["untested"]
    assert said == found.untested[0]
