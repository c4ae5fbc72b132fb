"""A run: what run.yaml says, and all that its numbers follow from."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ftexp.data.splits import half_of, set_name

STAGES = ("train", "eval")


@dataclass
class Run:
    """One run of the design, as it is planned, written to run.yaml and read from there.

    Attributes:
        experiment: The name of the experiment that it belongs to.
        id: `<abbreviation><level>` of every factor in declared order; a control is `base[_<its levels>]`.
        kind: `trained` or `control`.
        levels: Per factor the level's label; for a control only the factors that concern it.
        settings: Short names with their values, derived ones included; those of `IF_TRUE` only where they are true.
        overrides: Keys of the trainer's that constants or levels set.
        data: The data section, with what the levels set.
        prompt: system, user, date.
        evaluation: How it is asked and scored.
        steps: train_rows, effective_batch, steps_per_epoch, steps; empty for a control.
        problems: What is wrong with this run only; a run with problems is not stamped.
        training: The run that trains what is evaluated here, as a rule this one; another where both would train the same, and
            differ in their test only. Empty for a control.
    """

    experiment: str
    id: str
    kind: str
    levels: dict[str, Any]
    settings: dict[str, Any]
    overrides: dict[str, Any]
    data: dict[str, Any]
    prompt: dict[str, Any]
    evaluation: dict[str, Any]
    steps: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    training: str = ""

    def __post_init__(self) -> None:
        """A trained run has a training of its own where nothing else is said, a control has none."""
        self.training = "" if self.is_control else self.training or self.id

    @property
    def is_control(self) -> bool:
        """Whether it is a base model as it is, and not trained."""
        return self.kind == "control"

    @property
    def trains(self) -> bool:
        """Whether it has a training of its own."""
        return self.training == self.id

    @property
    def training_set(self) -> str:
        """The name of the rows that it is trained on, which follows from that half of its data section; not of a control."""
        return set_name(half_of(self.data, "train"))

    @property
    def test_set(self) -> str:
        """The name of the rows that it is asked."""
        return set_name(half_of(self.data, "test"))

    @property
    def row_sets(self) -> tuple[tuple[str, str], ...]:
        """Name and part of each set of rows of its: what it is trained on, unless it is a control, and what it is asked."""
        asked = (self.test_set, "test")
        return (asked,) if self.is_control else ((self.training_set, "train"), asked)

    def sets_of_answers(self, analysis: dict[str, Any]) -> tuple[str, str]:
        """The rows whose answers it is scored by, and those whose classes a metric has to know; the second empty for none."""
        return self.test_set, self.training_set if analysis["metrics"] and not self.is_control else ""

    @property
    def stages(self) -> tuple[str, ...]:
        """What is done with it: a control is not trained, nor is a run that is evaluated on another's training."""
        return STAGES if self.trains else STAGES[1:]

    def to_yaml(self) -> dict[str, Any]:
        """What run.yaml says: all that decides this run's numbers, and of other runs only which one trains for it."""
        return {
            "experiment": self.experiment, "run": self.id, "kind": self.kind, "levels": self.levels, "problems": self.problems,
            "training": self.training, "data": self.data, "prompt": self.prompt, "settings": self.settings,
            "overrides": self.overrides, "steps": self.steps, "evaluation": self.evaluation,
        }

    @classmethod
    def from_yaml(cls, document: dict[str, Any]) -> "Run":
        """The run that a run.yaml describes."""
        given = {key: value for key, value in document.items() if key not in ("run", "split")}  # as older plans have it
        return cls(id=document["run"], **given)


def row_sets_of(runs: Iterable[Run]) -> list[tuple[str, str]]:
    """Name and part of every set of rows of some runs, once; those that train come first."""
    found = dict.fromkeys(pair for run in runs for pair in run.row_sets)
    return sorted(found, key=lambda pair: pair[1] == "test")
