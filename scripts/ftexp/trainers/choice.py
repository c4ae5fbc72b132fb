"""Which trainer a run has: the one that is set, else torchtune, where it has what is asked. A further one is a row here."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ftexp.design.factors import Level
from ftexp.design.levels import label_text
from ftexp.design.run import Run
from ftexp.design.settings import TORCHTUNE, TRANSFORMERS
from ftexp.ground import paths
from ftexp.ground.errors import UserError
from ftexp.models.config_json import read_model_config, require_tested
from ftexp.models.template import require_template
from ftexp.trainers.interface import Config, Lack, Trainer
from ftexp.trainers.torchtune import trainer as torchtune
from ftexp.trainers.transformers import trainer as transformers

if TYPE_CHECKING:
    import torch

_TRAINERS: Mapping[str, Trainer] = {TORCHTUNE: torchtune, TRANSFORMERS: transformers}


def trainer_of(run: Run) -> Trainer:
    """The trainer of a run."""
    return _TRAINERS[name_of_trainer(run)]


def name_of_trainer(run: Run) -> str:
    """`torchtune` or `transformers`."""
    return run.settings.get("trainer") or (TRANSFORMERS if torchtune.lack_of(run) else TORCHTUNE)


def config_of(run: Run) -> Config:
    """The complete config of a run by its trainer; of a base model as it is what a training on it would have.

    Raises:
        UserError: If the model or the chat template may not be used, the trainer does not have what the run asks, or that does
            not go together.
    """
    require_tested(read_model_config(paths.model_dir(run.settings["model"])), run.settings)
    _require_had(run)
    if run.template:
        require_template(run.template)
    if run.is_control:  # what it would train on does not matter
        data = {**run.data, "train": run.data["train"] or "rows"}
        run = replace(run, overrides={}, data=data, steps={"train_rows": 0, "steps_per_epoch": 1})
    return trainer_of(run).config(run)


def note_refusals(runs: Iterable[Run]) -> None:
    """Add to the problems of each run what will keep it from being stamped, as far as its model's folder is there to tell."""
    for run in runs:
        folder = paths.model_dir(run.settings["model"])
        if run.problems or run.is_other or not (run.steps or run.is_control) or not (folder / "config.json").is_file():
            continue
        try:
            config_of(run)
        except UserError as error:
            run.problems = [str(error)]


def _require_had(run: Run) -> None:
    """Its trainer has what a run asks.

    Raises:
        UserError: If not; where the other one has it, that is the cure.
    """
    of_torchtune, of_transformers = torchtune.lack_of(run), transformers.lack_of(run)
    is_torchtune, model = name_of_trainer(run) == TORCHTUNE, run.settings["model"]
    if of_torchtune and of_transformers:
        other = f"{of_torchtune.asked} out" if of_torchtune.asked != "model" else f"choose another model than {model}"
        key = of_transformers.asked
        cure = f"Leave {key} out, or {other}" if of_torchtune.asked == "model" else f"Leave {key} or {other}"
        raise UserError(f"experiment.yaml: {key}: {of_transformers}, and {of_torchtune}. {cure}.")
    if of_torchtune and is_torchtune:
        got = f", got model {model}" if of_torchtune.asked == "model" else ""
        raise UserError(f"experiment.yaml: trainer: {of_torchtune}{got}. Set trainer: transformers, or leave trainer out.")
    if of_transformers and not is_torchtune:
        key, cure = of_transformers.asked, "Set trainer: torchtune, or leave"
        raise UserError(f"experiment.yaml: {key}: is torchtune's: {of_transformers}. {cure} {key} out.")


def trainers_in_words(runs: Sequence[Run], factors: Mapping[str, Sequence[Level]]) -> list[str]:
    """Where nobody says who trains, and it is not torchtune: who does, at which levels or for which model, and why; a line each.

    Args:
        factors: The experiment's.
    """
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for run, lack in ((run, torchtune.lack_of(run)) for run in runs if not run.settings.get("trainer")):
        if lack:
            found[str(lack)][_asked_by(run, lack, factors)] = None
    return sorted(f"trainer: transformers for {', '.join(who)}: {why}" for why, who in found.items())


def _asked_by(run: Run, lack: Lack, factors: Mapping[str, Sequence[Level]]) -> str:
    """The level by which a run asks what a trainer lacks; the name of its model where no level does."""
    model = str(run.settings["model"])
    for factor, label in ((name, label_text(label)) for name, label in run.levels.items()):
        if any(lack.asked in level.sets and label_text(level.label) == label for level in factors[factor]):
            return f"{factor} {label}" if lack.asked != "model" or label == model else f"{factor} {label} ({model})"
    return model


def quantize_matrices(model: "torch.nn.Module", base_dir: Path, dtype: "torch.dtype", device: str) -> None:
    """Put into a loaded base the numbers that a training on a quantised base computes with; torchtune alone has any."""
    torchtune.quantize_matrices(model, base_dir, dtype, device)


def runs_by_trainer(runs: Iterable[Run]) -> list[tuple[Trainer, list[Run]]]:
    """The runs of each trainer, in their order."""
    found: dict[int, tuple[Trainer, list[Run]]] = {}
    for run in runs:
        trainer = trainer_of(run)
        found.setdefault(id(trainer), (trainer, []))[1].append(run)
    return list(found.values())
