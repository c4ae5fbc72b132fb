"""A run: what run.yaml says, and all that its numbers follow from."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ftexp.data.splits import VALIDATION, Half, document_column, half_of, set_name, source_paths
from ftexp.ground import paths

STAGES = ("train", "eval")


# What follows a task's name in that of its asking for the likelihood of the references.
REFERENCE = ".reference"


def is_of_documents(facts: Mapping[str, Any]) -> bool:
    """Whether a task of these facts asks for documents: their likelihood, or what follows their beginnings."""
    return facts["kind"] == "document" or "complete" in facts


@dataclass(frozen=True)
class Task:
    """One task, as a run is asked it.

    Attributes:
        kind: `answer` (text is generated), `options` (their log-likelihoods), `document` (that of a text), `inspect`.
        data: The data section that its rows come from; of `inspect` empty; of documents in a file of their own that file and the
            column.
        prompt: system, user, date.
        facts: What run.yaml says of it.
    """

    name: str
    kind: str
    data: dict[str, Any]
    prompt: dict[str, Any]
    facts: dict[str, Any]

    @property
    def half(self) -> Half:
        """What its set of rows is made from."""
        return half_of(self.data, "test")

    @property
    def test_set(self) -> str:
        """The name of its set of rows; empty where the rows are inspect's."""
        return set_name(self.half) if self.data else ""

    @property
    def has_own_data(self) -> bool:
        """Whether its rows are no part of the run's data, but of a file of its own."""
        return "data" in self.facts

    @property
    def completes(self) -> dict[str, Any] | None:
        """Where the beginning of a document is to be completed: after how much of it; None of any other task."""
        return self.facts.get("complete")

    @property
    def is_of_documents(self) -> bool:
        """Whether its rows are documents, without a prompt: their likelihood is measured, or their beginnings are completed."""
        return is_of_documents(self.facts)

    @property
    def is_prompted(self) -> bool:
        """Whether its rows are questions under a prompt, with reference answers."""
        return self.kind in ("answer", "options") and not self.is_of_documents

    @property
    def column(self) -> str:
        """The column of its documents; empty where none is named."""
        return str(self.facts.get("document") or document_column(self.data) or "")

    @property
    def prompt_key(self) -> str:
        """Where a person changes its prompt: in the task where it has rows or a prompt of its own, else in the experiment."""
        is_own = self.has_own_data or "user" in self.facts.get("prompt", {})
        return f"evaluation.tasks.{self.name}.prompt.user" if is_own else "prompt.user"

    @property
    def epochs(self) -> int:
        """How often every item is asked."""
        return int(self.facts.get("epochs", 1))

    def epochs_of(self, asking: str) -> int:
        """The same in one of its askings: a reference is measured once."""
        return 1 if asking.endswith(REFERENCE) else self.epochs

    @property
    def askings(self) -> tuple[str, ...]:
        """What is asked of a model for it, each with a log of its own: itself, and the likelihood of its references."""
        return (self.name, self.name + REFERENCE) if self.facts.get("reference") else (self.name,)

    def sets_of_answers(self, metrics: Collection[str], run: "Run") -> tuple[str, str]:
        """The rows whose answers are right, and those whose classes a metric of labels has to know; empty for none."""
        return self.test_set, run.training_set if metrics and not run.is_control and not self.has_own_data else ""


@dataclass
class Run:
    """One run of the design, as it is planned, written to run.yaml and read from there.

    Attributes:
        experiment: The name of the experiment that it belongs to.
        id: `<abbreviation><level>` of every factor in declared order; a control is `base[_<its levels>]`.
        kind: `trained` or `control`.
        levels: Per factor the level's label; for a control only the factors that concern it.
        settings: Short names with their values, derived ones included; those of `IF_SET` only where they are set.
        overrides: Keys of the trainer's that constants or levels set.
        data: The data section, with what the levels set.
        prompt: system, user, date, and the file of a chat template where it is not the model's own.
        tasks: What it is asked, by name: of each its kind, and what it has of its own.
        validation: How its training is looked at while it goes on; empty: not at all.
        labels: Those that a head chooses from; empty where text is generated.
        steps: train_rows, effective_batch, steps_per_epoch, steps; empty for a control.
        problems: What is wrong with this run only; a run with problems is not stamped.
        training: The run that trains what is evaluated here, as a rule this one; another where both would train the same, and
            differ in their test only. Empty for a control.
        is_other: Whether it is a control that is no base model of the runs as it is, but an existing checkpoint.
        checkpoint: Of such a one the folder of its adapter, where it is one; else empty.
    """

    experiment: str
    id: str
    kind: str
    levels: dict[str, Any]
    settings: dict[str, Any]
    overrides: dict[str, Any]
    data: dict[str, Any]
    prompt: dict[str, Any]
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    validation: dict[str, Any] = field(default_factory=dict)
    labels: list[str] = field(default_factory=list)
    steps: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    training: str = ""
    is_other: bool = False
    checkpoint: str = ""

    def __post_init__(self) -> None:
        """A trained run has a training of its own where nothing else is said, a control has none."""
        self.training = "" if self.is_control else self.training or self.id

    @property
    def is_control(self) -> bool:
        """Whether it is a base model as it is, and not trained."""
        return self.kind == "control"

    @property
    def has_head(self) -> bool:
        """Whether it chooses a label, and writes no text."""
        return bool(self.settings.get("head")) and not self.is_control

    @property
    def trains(self) -> bool:
        """Whether it has a training of its own."""
        return self.training == self.id

    @property
    def training_set(self) -> str:
        """The name of the rows that it is trained on, which follows from that half of its data section; not of a control."""
        return set_name(half_of(self.data, "train"))

    @property
    def asked(self) -> tuple[Task, ...]:
        """Its tasks, with the data and the prompt of each."""
        return tuple(self._task(name, facts) for name, facts in self.tasks.items())

    def _task(self, name: str, facts: dict[str, Any]) -> Task:
        own, data = facts.get("data"), self.data
        if is_of_documents(facts) and own:
            data = {"test": own["data"], "document": facts.get("document") or self.data.get("text")}
        elif own:
            data = {"test": own["data"], **{key: own.get(key) or self.data[key] or key for key in ("input", "output")}}
        if facts["kind"] == "inspect":
            data = {}
        return Task(name, facts["kind"], data, {**self.prompt, **facts.get("prompt", {})}, facts)

    @property
    def askings(self) -> tuple[str, ...]:
        """All that is asked of the model, each with a log of its own."""
        return tuple(name for task in self.asked for name in task.askings)

    @property
    def row_sets(self) -> tuple[tuple[str, str], ...]:
        """Name and part of each set of rows of its: what it is trained on, unless it is a control, and what it is asked."""
        asked = tuple(dict.fromkeys((task.test_set, "test") for task in self.asked if task.data))
        if self.is_control:
            return asked
        parts = ("train", VALIDATION) if self.validation else ("train",)
        return (*((self.training_set, part) for part in parts), *asked)

    @property
    def template(self) -> Path | None:
        """The file of the chat template that it is trained and asked in; None where that is the model's own."""
        return Path(self.prompt["template"]) if self.prompt.get("template") else None

    @property
    def data_files(self) -> list[Path]:
        """The files that its rows come from: those of its data, and those of tasks with files of their own."""
        own = [Path(task["data"]["data"]) for task in self.tasks.values() if "data" in task]
        return list(dict.fromkeys([*source_paths(self.data), *own]))

    @property
    def adapter_or_weights(self) -> Path | None:
        """The folder of what was trained; None of a base model as it is."""
        if self.is_control:
            return Path(self.checkpoint) if self.checkpoint else None
        return paths.RunPaths(self.training).checkpoint_dir

    @property
    def stages(self) -> tuple[str, ...]:
        """What is done with it: a control is not trained, nor is a run that is evaluated on another's training."""
        return STAGES if self.trains else STAGES[1:]

    def to_yaml(self) -> dict[str, Any]:
        """What run.yaml says: all that decides this run's numbers, and of other runs only which one trains for it."""
        return {
            "experiment": self.experiment, "run": self.id, "kind": self.kind, "levels": self.levels, "problems": self.problems,
            "training": self.training, "data": self.data, "prompt": self.prompt, "settings": self.settings,
            "overrides": self.overrides, "steps": self.steps, "tasks": self.tasks,
            **({"validation": self.validation} if self.validation else {}),
            **({"labels": self.labels} if self.labels else {}),
            **({"is_other": True, "checkpoint": self.checkpoint} if self.is_other else {}),
        }

    @classmethod
    def from_yaml(cls, document: dict[str, Any]) -> "Run":
        """The run that a run.yaml describes."""
        of_older_plans = ("split", "evaluation")
        given = {key: value for key, value in document.items() if key not in ("run", *of_older_plans)}
        return cls(id=document["run"], **given)


def row_sets_of(runs: Iterable[Run]) -> list[tuple[str, str]]:
    """Name and part of every set of rows of some runs, once; those that train come first."""
    found = dict.fromkeys(pair for run in runs for pair in run.row_sets)
    return sorted(found, key=lambda pair: pair[1] == "test")


def first_run(runs: Sequence[Run]) -> str:
    """The first of some runs, and how many more there are: one message is of all of them."""
    return f"{runs[0].id} and {len(runs) - 1} more" if len(runs) > 1 else runs[0].id
