"""validation.csv: a row each time that a training was looked at, and which step of it was kept.

Columns: step (from 1), epoch (as a number of epochs), loss (mean over the trained tokens of the validation rows, nats); where a
scorer decides also its mean score, by its name; kept: `best` or `last` at the step that was kept, once the training has ended.
"""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ftexp.ground.filesystem import write_if_changed

VALIDATION_CSV = "validation.csv"
_LOSS, BEST, LAST = "loss", "best", "last"


@dataclass(frozen=True)
class Look:
    """One look at a training.

    Attributes:
        values: loss, and the score by its name where one decides.
        kept: `best` or `last` where this step was kept; else empty.
    """

    step: int
    epoch: float
    values: Mapping[str, float]
    kept: str = ""

    @property
    def loss(self) -> float:
        """What decides between equal scores; infinite where the loss is no number."""
        loss = self.values[_LOSS]
        return loss if math.isfinite(loss) else math.inf


@dataclass(frozen=True)
class Rule:
    """By what a training is chosen and stopped.

    Attributes:
        metric: loss, of which less is better, or a scorer's name, of which more is.
        patience: Looks without a better one after which it stops; None: never.
        threshold: How much better a look has to be.
        keep: best or last.
    """

    metric: str
    patience: int | None
    threshold: float
    keep: str

    @classmethod
    def of(cls, section: Mapping[str, Any]) -> "Rule":
        """The rule of a section `validation`, of run.yaml or of finetune.yaml."""
        return cls(section["metric"], section["patience"], section["threshold"], section["keep"])

    def best(self, looks: Sequence[Look]) -> Look | None:
        """The best look, of equal ones that of the least loss, and then the first; None where no value is a number."""
        best: Look | None = None
        for look in looks:
            is_number = math.isfinite(look.values[self.metric])
            if is_number and (best is None or (self._gain(look, best), -look.loss) > (0, -best.loss)):
                best = look
        return best

    def is_over(self, looks: Sequence[Look]) -> bool:
        """Whether the last `patience` looks each failed to beat the best before them by more than the threshold."""
        best: Look | None = None
        waited = 0
        for look in (look for look in looks if self.patience is not None):
            gain = self._gain(look, best) if best else math.inf
            is_number = math.isfinite(look.values[self.metric])
            waited = 0 if is_number and gain > self.threshold else waited + 1
            best = look if is_number and gain > 0 else best
        return self.patience is not None and waited >= self.patience

    def kept(self, looks: Sequence[Look]) -> Look:
        """The look whose step is kept: the best, or the last; the last too where none is a number."""
        best = self.best(looks) if self.keep == BEST else None
        return replace(best, kept=BEST) if best else replace(looks[-1], kept=LAST)

    @property
    def is_less_better(self) -> bool:
        """Whether the lowest value is the best: of the loss, and of no scorer."""
        return self.metric == _LOSS

    def _gain(self, look: Look, other: Look) -> float:
        gain = look.values[self.metric] - other.values[self.metric]
        return -gain if self.is_less_better else gain


def write_looks(folder: Path, looks: Sequence[Look]) -> None:
    """Write the file whole; there is at least one look."""
    names = list(looks[0].values)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["step", "epoch", *names, "kept"])
    for look in looks:
        table.writerow([look.step, f"{look.epoch:.6g}", *(repr(float(look.values[name])) for name in names), look.kept])
    write_if_changed(folder / VALIDATION_CSV, text.getvalue())


def read_looks(path: Path) -> list[Look]:
    """The looks of a file; none where there is no file."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    fixed = ("step", "epoch", "kept")
    return [
        Look(int(row["step"]), float(row["epoch"]), {name: float(row[name]) for name in row if name not in fixed}, row["kept"])
        for row in rows
    ]
