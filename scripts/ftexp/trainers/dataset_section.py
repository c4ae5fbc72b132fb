"""The parts of a config that say which rows train and how they become tokens, in any trainer: for `PromptedRows`, for `Chat`."""

from collections.abc import Callable
from typing import Any

from ftexp.design.run import Run
from ftexp.ground import paths


def dataset_section(run: Run, escape: Callable[[Any], Any] = lambda text: text) -> dict[str, Any]:
    """File, texts around the columns, columns, loss, number of rows, seed, longest row.

    Args:
        escape: What a text of the user's becomes in a config, where the trainer's reader would take it for something else.
    """
    settings, data, prompt = run.settings, run.data, run.prompt
    asked = {
        "system": prompt["system"], "user": prompt["user"], "input_column": data["input"], "output_column": data["output"],
    }
    texts = {"text_column": data["text"]} if data.get("text") else asked
    return {
        "file": str(paths.split_part(run.training_set, "train")),
        **{key: escape(value) for key, value in texts.items()},
        "loss": settings["loss"],
        "rows": run.steps["train_rows"],
        "seed": settings["seed"],
        "max_seq_len": settings["max_seq_len"],
    }


def tokenizer_section(run: Run) -> dict[str, Any]:
    """The model's folder and the date, and the file of the chat template where it is not the model's own."""
    section = {"path": str(paths.model_dir(run.settings["model"])), "date": run.prompt["date"]}
    return {**section, "template": str(run.template)} if run.template else section


def check_row_length(run: Run, most: int | None) -> list[str]:
    """No longer rows are allowed than the tokens that the model takes, where it says how many."""
    asked = run.settings["max_seq_len"]
    if asked is None or most is None or asked <= most:
        return []
    return [f"experiment.yaml: max_seq_len: is {asked}, but the model {run.settings['model']} takes {most}. Lower it"]
