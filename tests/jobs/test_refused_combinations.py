"""A combination that can never be trained is said by plan, once, with its cure, and by stamp, neither of which then ends well."""

import json
import re
from pathlib import Path
from typing import Any

import plan as plan_stage
import pytest
import stamp as stamp_stage
from ftexp.ground import paths
from ftexp.models.template import require_template
from helpers import changes
from helpers.config_files import config_of

FULL = "full_finetune_single_device"
TORCHTUNE = "experiment.yaml: trainer: torchtune 0.6.1"
OR_LEAVE_OUT = "Set trainer: transformers, or leave trainer out."
OTHER_NUMBERS = "transformers quantises by other packages, into other numbers"


@pytest.fixture
def folder(experiment: Path) -> Path:
    """An experiment of 2 x 2 runs and a control, beside whose model lie some others; the working folder."""
    assert paths.MODELS_LINK.resolve().is_relative_to(experiment)
    for name, content in {"small-gpt2": config_of("gpt2"), "strange": {**config_of("llama"), "model_type": "gpt_neox"}}.items():
        (paths.MODELS_LINK / name).mkdir()
        (paths.MODELS_LINK / name / "config.json").write_text(json.dumps(content), encoding="utf-8")
    Path("broken.jinja").write_text("{% if x %}{{ messages }\n", encoding="utf-8")
    return experiment


@pytest.mark.parametrize(("sections", "runs", "message"), [
    ({"constants": {"trainer": "torchtune"}, "validation": {}}, 4, f"{TORCHTUNE} has no validation. {OR_LEAVE_OUT}"),
    ({"constants": {"trainer": "torchtune", "use_dora": True}}, 5, f"{TORCHTUNE} exports DoRA adapters wrongly"),
    ({"constants": {"trainer": "torchtune", "model": "small-gpt2"}}, 5,
     f"{TORCHTUNE} has no GPT-2, got model small-gpt2. {OR_LEAVE_OUT}"),
    ({"constants": {"trainer": "transformers", "quantize_base": True}}, 5,
     f"experiment.yaml: quantize_base: is torchtune's: {OTHER_NUMBERS}. Set trainer: torchtune, or leave quantize_base out."),
    ({"constants": {"quantize_base": True, "model": "small-gpt2"}}, 5,
     f"experiment.yaml: quantize_base: {OTHER_NUMBERS}, and torchtune 0.6.1 has no GPT-2. "
     "Leave quantize_base out, or choose another model than small-gpt2."),
    ({"constants": {"quantize_base": True}, "validation": {}}, 4,
     f"experiment.yaml: quantize_base: {OTHER_NUMBERS}, and torchtune 0.6.1 has no validation. "
     "Leave quantize_base or validation out."),
    ({"constants": {"model": "strange"}}, 5, "models/strange/config.json: model_type: is 'gpt_neox', and supported are"),
    ({"constants": {"recipe": FULL, "quantize_base": True}, "factors": {"lr": [1e-4, 1e-3]}}, 3,
     "experiment.yaml: quantize_base: a full fine-tune trains the base's own matrices"),
    ({"prompt": {"template": "missing.jinja"}}, 5, "experiment.yaml: prompt.template: there is no file missing.jinja."),
    ({"prompt": {"template": "broken.jinja"}}, 5, "broken.jinja: is no template: line 1: unexpected '}'. Correct it."),
], ids=[
    "validation", "dora", "no such model", "quantized", "quantized gpt2", "quantized and validated", "untested",
    "quantized full", "no template", "broken template",
])
@pytest.mark.usefixtures("folder")
def test_plan_says_it_once_with_the_runs_and_stamp_says_the_same(
    sections: dict[str, Any], runs: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    changes.experiment(**sections)()
    assert plan_stage.main([]) == 1
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("problem: ")]
    [line] = [line for line in said if message in line]
    assert re.match(rf"problem: runs/\S+, runs/\S+, runs/\S+{f' and {runs - 3} more' if runs > 3 else ''}: ", line), line
    planned = paths.RUNS_CSV.read_text(encoding="utf-8")
    assert stamp_stage.main([]) == 1
    assert message in capsys.readouterr().err and paths.RUNS_CSV.read_text(encoding="utf-8") == planned


@pytest.mark.usefixtures("folder")
def test_a_template_that_is_taken_away_is_missed(capsys: pytest.CaptureFixture[str]) -> None:
    Path("own.jinja").write_text("{% for m in messages %}{{ m.content }}{% endfor %}", encoding="utf-8")
    changes.experiment(prompt={"template": "own.jinja"})()
    assert plan_stage.main([]) == 0 and stamp_stage.main([]) == 0
    Path("own.jinja").unlink()
    assert stamp_stage.main([]) == 1
    assert "prompt.template: there is no file own.jinja" in capsys.readouterr().err


def test_what_transformers_adds_to_the_language_of_templates_is_known(tmp_path: Path) -> None:
    file = tmp_path / "own.jinja"
    text = "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% break %}{% endfor %}"
    file.write_text(text, encoding="utf-8")
    require_template(file)


@pytest.mark.parametrize(("factors", "model", "line"), [
    ({"use_dora": [False, True]}, "tiny-instruct", "use_dora true: torchtune 0.6.1 exports DoRA"),
    ({"model": ["tiny-instruct", "small-gpt2"]}, None, "model small-gpt2: torchtune 0.6.1 has no GPT-2"),
    ({"size": {"small": {"model": "tiny-instruct"}, "large": {"model": "small-gpt2"}}}, None,
     "size large (small-gpt2): torchtune 0.6.1 has no GPT-2"),
    ({"lr": [1e-4, 1e-3]}, "small-gpt2", "small-gpt2: torchtune 0.6.1 has no GPT-2"),
])
@pytest.mark.usefixtures("folder")
def test_who_trains_is_said_of_the_level_as_it_was_written(
    factors: dict[str, Any], model: str | None, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    changes.experiment(factors=factors, constants={"model": model})()
    assert plan_stage.main([]) == 0
    said = [text for text in capsys.readouterr().out.splitlines() if text.startswith("trainer: ")]
    assert len(said) == 1 and said[0].startswith(f"trainer: transformers for {line}")
