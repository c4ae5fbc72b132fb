"""A run: what run.yaml says, and all that its numbers follow from."""

from dataclasses import dataclass, field
from typing import Any

from ftexp.data.splits import split_name

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

    @property
    def is_control(self) -> bool:
        """Whether it is a base model as it is, and not trained."""
        return self.kind == "control"

    @property
    def split(self) -> str:
        """The name of its split, which is that of its data section."""
        return split_name(self.data)

    @property
    def stages(self) -> tuple[str, ...]:
        """What is done with it: a control is not trained."""
        return STAGES[1:] if self.is_control else STAGES

    def to_yaml(self) -> dict[str, Any]:
        """What run.yaml says: all that decides this run's numbers, and nothing of any other run."""
        return {
            "experiment": self.experiment, "run": self.id, "kind": self.kind, "levels": self.levels, "problems": self.problems,
            "data": self.data, "split": self.split, "prompt": self.prompt, "settings": self.settings,
            "overrides": self.overrides, "steps": self.steps, "evaluation": self.evaluation,
        }

    @classmethod
    def from_yaml(cls, document: dict[str, Any]) -> "Run":
        """The run that a run.yaml describes."""
        given = {key: value for key, value in document.items() if key not in ("run", "split")}
        return cls(id=document["run"], **given)
