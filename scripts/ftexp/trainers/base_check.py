"""Is the base model that a trainer makes of a folder the one that transformers makes of it? By the logits of a few training rows.

Both are computed in fp32 on the CPU, where rounding is all that may part them. How much rounding makes in this very model is
measured: by the logits of transformers' model once more, with each of its weights moved by the last digit of fp32. On models of
two layers the two are apart by half of that; a RoPE that turns otherwise or a matrix whose rows lie in another order part them
by a hundred thousand times as much. The loss beside log(vocabulary), which guessing would cost, says whether the model can do
anything at all.

Reads the model's folder, the split and finetune.yaml. Writes nothing.
"""

import gc
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ftexp.design.run import Run
from ftexp.ground import paths
from ftexp.ground.errors import UserError
from ftexp.ground.machine_memory import free_gigabytes
from ftexp.models.config_json import model_parameters
from ftexp.models.folder import weight_files
from ftexp.models.loading import load_transformers_model
from ftexp.trainers.interface import Config, Trainer
from ftexp.trainers.training_row import TrainingRow

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

ROWS = 8
# A further row of these, one after the other, so that far positions are looked at too; longer rows are cut for this.
LONG_ROW, LONGEST_ROW = 512, 1024
# So many times what rounding makes are within it: two programs add up in other orders.
WITHIN = 20
_LAST_DIGIT = 2.0**-23
# Of fp32, for the weights and for what is read, converted and computed besides.
_BYTES = 4 * 2


@dataclass(frozen=True)
class BaseCheck:
    """What was found of one base model.

    Attributes:
        loss: Of the trained tokens of `rows` training rows, in nats; guessing costs log(`vocabulary`).
        apart: Root mean square of the logits' differences, as a share of the spread of transformers' own; rounding likewise, of
            what rounding makes.
    """

    loss: float
    rows: int
    vocabulary: int
    apart: float
    rounding: float

    @property
    def guessing(self) -> float:
        """The loss of a model that knows nothing."""
        return math.log(self.vocabulary)

    def in_words(self, model: str) -> str:
        """One line about the base, for a careful person to judge."""
        said = f"base {model}: before any training its loss is {self.loss:.2f} a token on {self.rows} training rows; "
        if self.loss < self.guessing:
            return f"{said}guessing would cost {self.guessing:.2f}"
        why = "it was never trained, or on other texts"
        return f"{said}guessing among its {self.vocabulary} tokens would cost no more ({self.guessing:.2f}): {why}"

    def objection(self, folder: Path) -> str | None:
        """Why nothing can be trained on it; None where both models are one."""
        if self.apart <= WITHIN * self.rounding:  # which not-a-number is not
            return None
        what = "the trainer makes another model of it than transformers, with which it is evaluated: their logits are apart by"
        size = f"{self.apart:.2g} of their spread on {self.rows} training rows, and rounding makes {self.rounding:.2g}"
        return f"{folder}: {what} {size}. Make sure that config.json is that of these weights, then report it"


def gigabytes_needed(model: str) -> float:
    """Memory that a check of a base takes."""
    return model_parameters(model) * _BYTES / 1e9


def fits_here(model: str) -> bool:
    """Whether this machine, or this job, has the memory for it now."""
    return gigabytes_needed(model) <= free_gigabytes()


def check_base(trainer: Trainer, run: Run, config: Config) -> BaseCheck:
    """Compare both models of a run's base on its first training rows.

    Raises:
        UserError: If weights are no numbers, or the folder does not hold one whole model.
    """
    import torch

    _require_finite(paths.model_dir(run.settings["model"]))
    most = trainer.longest_row(config)
    rows = [_cut(row, min(most, LONGEST_ROW)) for row in trainer.training_rows(run, most=ROWS)]
    joined = [token for row in rows for token in row.tokens][: min(most, LONG_ROW)]
    tokens = [*(row.tokens for row in rows), joined]
    ours = trainer.base_logits(config, tokens)
    gc.collect()
    model = load_transformers_model(paths.model_dir(run.settings["model"]), torch.float32).eval()
    theirs = _logits(model, tokens)
    _move_by_last_digit(model)
    apart, rounding = (_apart(other, theirs) for other in (torch.cat(ours), _logits(model, tokens)))
    return BaseCheck(_loss(ours, rows), len(rows), ours[0].shape[-1], apart, rounding)


def _require_finite(folder: Path) -> None:
    """Every weight of a model is a number.

    Raises:
        UserError: If one is not, with its file and tensor.
    """
    import torch
    from safetensors import safe_open

    for path in (folder / name for name in weight_files(folder)):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118
                tensor = file.get_tensor(name)
                if not tensor.is_floating_point() or bool(torch.isfinite(tensor).all()):
                    continue
                kind = "NaN" if bool(tensor.isnan().any()) else "infinite"
                what = f"weights are {kind}, {int((~torch.isfinite(tensor)).sum()):,} of {tensor.numel():,}"
                cure = "Copy the model again, or take a checkpoint from before its training went astray."
                raise UserError(f"{path}: {name}: {what}, so that no answer can come of the model. {cure}")


def _logits(model: "PreTrainedModel", tokens: list[list[int]]) -> "torch.Tensor":
    """Of all rows in one, [lengths, vocabulary]."""
    import torch

    with torch.inference_mode():
        return torch.cat([model(input_ids=torch.tensor([row])).logits[0] for row in tokens])


def _move_by_last_digit(model: "PreTrainedModel") -> None:
    import torch

    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1 + _LAST_DIGIT * torch.randint(-1, 2, parameter.shape, generator=generator))


def _cut(row: TrainingRow, longest: int) -> TrainingRow:
    """No longer than the model takes, or a forward pass on a CPU may take; where the answer would be lost, its last tokens."""
    if len(row.tokens) <= longest:
        return row
    return TrainingRow(row.index, row.tokens[-longest:], [None, *row.labels[-longest + 1 :]])


def _loss(logits: "list[torch.Tensor]", rows: list[TrainingRow]) -> float:
    """Mean over the rows' trained tokens."""
    import torch

    losses = [
        torch.nn.functional.cross_entropy(
            found[:-1], torch.tensor([-100 if label is None else label for label in row.labels[1:]]), reduction="none"
        )[torch.tensor([label is not None for label in row.labels[1:]])]
        for found, row in zip(logits, rows, strict=False)
    ]
    return float(torch.cat(losses).mean())


def _apart(ours: "torch.Tensor", theirs: "torch.Tensor") -> float:
    width = min(ours.shape[-1], theirs.shape[-1])
    ours, theirs = ours[:, :width], theirs[:, :width]
    return float((ours - theirs).pow(2).mean().sqrt() / theirs.std())
