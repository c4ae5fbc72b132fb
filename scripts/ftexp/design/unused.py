"""What runs of some sort make no use of: the one table of it. Setting it for such runs alone is an error.

Nothing is read or written.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ftexp.design.levels import label_text
from ftexp.design.run import Run
from ftexp.design.spec import Experiment
from ftexp.design.tasks import ANSWERING_KEYS
from ftexp.design.torchtune_keys import OF_LORA
from ftexp.ground.errors import Findings
from ftexp.ground.wording import listed


@dataclass(frozen=True)
class Sort:
    """A sort of runs.

    Attributes:
        has: What they have, after `a run with`.
        holds: Whether a run is of it.
        settings: Per setting that changes nothing in them, why.
        keys: Per key of evaluation that changes none of their answers, why.
    """

    has: str
    holds: Callable[[Run], bool]
    settings: Mapping[str, str]
    keys: Mapping[str, str]


SORTS = (
    Sort(
        "a head", lambda run: run.has_head, {"loss": "a head is trained on the label, and on no token"},
        {
            **dict.fromkeys(ANSWERING_KEYS, "a head writes no text"),
            "normalization": "a head gives a label one probability, however long it is",
        },
    ),
    Sort(
        "a recipe that trains the whole model", lambda run: run.settings["recipe"].startswith("full_"),
        dict.fromkeys(OF_LORA, "there are no LoRA matrices then"), {},
    ),
)


def check_unused(found: Findings, experiment: Experiment, runs: Sequence[Run]) -> None:
    """Nothing is set that no run makes use of, and no two runs differ in such a thing alone."""
    trained = [run for run in runs if not run.is_control]
    for sort in SORTS:
        members = [run for run in trained if sort.holds(run)]
        if members:
            _check_constants(found, experiment, sort, is_all=len(members) == len(trained))
            for factor in experiment.factors:
                _check_factor(found, experiment, factor, sort, trained)
            _check_keys(found, experiment, sort, runs)


def _check_constants(found: Findings, experiment: Experiment, sort: Sort, *, is_all: bool) -> None:
    for name, why in sort.settings.items():
        if is_all and name in experiment.constants:
            found.add(f"constants.{name}", f"changes nothing, as all runs have {sort.has}, and {why}", "Remove it.")


def _check_factor(found: Findings, experiment: Experiment, factor: str, sort: Sort, trained: Sequence[Run]) -> None:
    """Levels that only runs of the sort have; or levels that change nothing else, so that two runs of the sort are one."""
    levels = experiment.factors[factor]
    for name, why in sort.settings.items():
        own = {label_text(level.label) for level in levels if name in level.sets}
        at = {label: [run for run in trained if label_text(run.levels[factor]) == label] for label in own}
        idle = [label for label, runs in at.items() if runs and all(map(sort.holds, runs))]
        if idle:
            where = "" if len(idle) == len(levels) else f" at {listed(sorted(idle))}"
            what = f"sets {name}{where}, which changes nothing, as all runs there have {sort.has}, and {why}"
            found.add(f"factors.{factor}", what, "Remove it.")
    if any(name not in sort.settings for level in levels for name in level.sets):
        return
    first: dict[str, Run] = {}
    for run in (run for run in trained if sort.holds(run)):
        others = repr({name: level for name, level in run.levels.items() if name != factor})
        twin = first.setdefault(others, run)
        if twin is not run and not any(f"factors.{factor}: " in message for message in found.messages):
            why = " and ".join(dict.fromkeys(sort.settings[name] for level in levels for name in level.sets))
            what = f"changes nothing in runs with {sort.has}, as {why}: {twin.id} and {run.id} are the same run"
            found.add(f"factors.{factor}", what, "Take one of them away by exclude.")


def _check_keys(found: Findings, experiment: Experiment, sort: Sort, runs: Sequence[Run]) -> None:
    """A key of evaluation is of use to some run, or control, that it is meant for."""
    for why, places in _idle(experiment, sort, runs).items():
        does, it = ("changes", "it") if len(places) == 1 else ("change", "them")
        found.add(listed(places), f"{does} nothing, as all runs that are asked have {sort.has}, and {why}", f"Remove {it}.")


def idle_settings(trained: Sequence[Run]) -> set[str]:
    """Settings that none of the runs makes use of."""
    return {name for sort in SORTS if all(map(sort.holds, trained)) for name in sort.settings}


def of_controls_alone(experiment: Experiment, runs: Sequence[Run]) -> list[str]:
    """A warning of keys of evaluation that the controls alone make use of; of max_tokens none, because they need one."""
    warnings = []
    trained = [run for run in runs if not run.is_control]
    for sort in SORTS:
        for why, places in _idle(experiment, sort, trained).items():
            others = [place for place in places if not place.endswith(".max_tokens")]
            does, it = ("concerns", "it") if len(others) == 1 else ("concern", "them")
            what = f"{does} the controls alone, as all other runs that are asked have {sort.has}, and {why}"
            cure = f"Leave {it} out, or compare with the controls in mind"
            warnings += [f"experiment.yaml: {listed(others)}: {what}. {cure}"] if others else []
    return warnings


def _idle(experiment: Experiment, sort: Sort, runs: Sequence[Run]) -> dict[str, list[str]]:
    """Places of keys of evaluation that none of these runs makes use of, by the reason why."""
    tasks: dict[tuple[str, str], set[str]] = {}
    for task, said in experiment.evaluation.said.items():
        for key in (key for key in sort.keys if key in said):
            tasks.setdefault((said[key], key), set()).add(task)
    found: dict[str, list[str]] = {}
    for (place, key), those in tasks.items():
        if all(sort.holds(run) for run in runs if those & run.tasks.keys()):
            found.setdefault(sort.keys[key], []).append(place)
    return found
