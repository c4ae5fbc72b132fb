"""Merges a run's adapter into its base model, for programs that want whole weights.

Reads runs/<id>/checkpoint/ and the base model. Writes runs/<id>/merged/ (Hugging Face layout; git ignores it).
Command: make merge RUN=<id> (python scripts/merge.py <id>)
"""

import shutil
import sys
from pathlib import Path
from typing import Any

from ftexp.design.planning import planned_runs
from ftexp.design.run import Run
from ftexp.design.settings import is_quantized
from ftexp.ground import paths
from ftexp.ground.errors import UserError, run_command
from ftexp.ground.options import read_run
from ftexp.state.publishing import replace_dir
from ftexp.state.work import Work

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "vocab.json",
                   "merges.txt", "added_tokens.json", "chat_template.jinja", "generation_config.json")


def main(arguments: list[str]) -> int:
    """Merge one run's adapter, in the precision of its training, onto the base as it was trained: quantised where that was."""
    paths.require_experiment()
    runs = {run.id: run for run in planned_runs() if not run.is_control}
    name = read_run(arguments, list(runs), "merge", "trained run")
    state = Work().state(runs[name], "train")
    if state.status != "done":
        raise UserError(f"runs/{name}: its training is {state.status}, so there is nothing to merge. Run `make submit`.")
    target = paths.RunPaths(name).dir / "merged"
    _merge(runs[name], target)
    print(target)
    return 0


def _merge(run: Run, target: Path) -> None:
    from ftexp.evaluation.own_head import classifier_of
    from ftexp.evaluation.tuned_model import load_model

    settings, places = run.settings, paths.RunPaths(run.training)
    base_dir = paths.model_dir(settings["model"])
    # Any: a PeftModel can merge, and a PreTrainedModel, as which it is typed, cannot.
    model: Any = load_model(
        base_dir, places.checkpoint_dir, settings["dtype"], "cpu", quantize_base=is_quantized(settings),
        classifier=classifier_of(run),
    )
    whole = model.merge_and_unload() if hasattr(model, "merge_and_unload") else model
    aside = places.scratch_dir("merge")
    shutil.rmtree(aside, ignore_errors=True)
    print(f"merging {places.checkpoint_dir} into {base_dir}", file=sys.stderr)
    whole.save_pretrained(aside, safe_serialization=True)
    for name in TOKENIZER_FILES:
        if (base_dir / name).is_file():
            shutil.copyfile(base_dir / name, aside / name)
    if run.template:  # which transformers takes before the one in tokenizer_config.json
        shutil.copyfile(run.template, aside / "chat_template.jinja")
    replace_dir(aside, target)


if __name__ == "__main__":
    run_command(main)
