"""What experiment.yaml declares is read back from a run's generated files, and equals it."""

from typing import Any

from ftexp.design.run import Run
from ftexp.design.validation_values import DEFAULTS
from ftexp.evaluation.eval_file import eval_text
from ftexp.ground import paths
from ftexp.ground.nested import value_at
from ftexp.trainers.choice import trainer_of

Config = dict[str, Any]


def check_read_back(run: Run, config: Config) -> list[str]:
    """Every setting that is a factor, a constant or derived stands in the config, and equals what was declared."""
    messages = []
    resolved = config
    trainer = trainer_of(run)
    for name, wanted in _declared(run).items():
        for key, expected in trainer.expected_keys(run, name, wanted).items():
            if resolved is config and "${" in str(value_at(config, key)):
                resolved = trainer.resolved(config)
            found = value_at(resolved, key)
            if found != expected and not (found is None and expected is False):  # a switch that is not there is off
                messages.append(f"finetune.yaml: {key}: is {found!r}, but {name} was declared as {expected!r}. Run `make stamp`")
    return messages


def check_eval_file(run: Run) -> list[str]:
    """eval.py is the one that experiment.yaml makes."""
    if paths.RunPaths(run.id).eval_py.read_text(encoding="utf-8") == eval_text(run):
        return []
    return ["eval.py: is not what experiment.yaml says. Delete it and run `make stamp`"]


def _declared(run: Run) -> dict[str, Any]:
    """Everything of a run.yaml that training depends on, by the names that experiment.yaml gives it."""
    prompt = {f"prompt.{key}": value for key, value in run.prompt.items()}
    named = ("text",) if run.data.get("text") else ("input", "output")
    columns = {f"data.{key}": run.data[key] for key in named}
    looked_at = {f"validation.{key}": value for key, value in run.validation.items() if key in DEFAULTS}
    return {**run.settings, **prompt, **columns, "data.split": run.training_set, **looked_at, **run.overrides}
