"""Which runs share a training, and which training sets a design has.

A training depends on settings, prompt and the training half of the data; on nothing that only tests. Runs that are equal in these
are one training under several tests: one of them trains, the others are evaluated on its checkpoint.
"""

from ftexp.data.held_out import TaskSet, TrainingSet
from ftexp.data.splits import Half, half_of
from ftexp.design.run import Run
from ftexp.ground import paths


def training_key(run: Run) -> str:
    """All that a training follows from."""
    return repr((run.settings, run.overrides, run.prompt, half_of(run.data, "train"), run.validation, run.steps))


def share_trainings(runs: list[Run]) -> None:
    """Say of every trained run whose training it is evaluated on.

    Of equal ones that is the first without a problem; but one that was trained, or begun, already stays the one, so that another
    order of the levels trains nothing again.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        if not run.is_control:
            groups.setdefault(training_key(run), []).append(run)
    for members in groups.values():
        owner = min(members, key=lambda run: (bool(run.problems), _progress(run.id)))
        for run in members:
            run.training = owner.id


def _progress(run: str) -> int:
    """0 where a run was trained, 1 where its training was begun, 2 where neither."""
    places = paths.RunPaths(run)
    return 0 if places.manifest("train").is_file() else 1 if places.job("train").is_file() else 2


def training_sets(runs: list[Run]) -> dict[str, TrainingSet]:
    """The training sets of a design by name, each with what is held out of it; the order of levels changes nothing."""
    tests = asked_sets(runs)
    templates: dict[str, set[str]] = {}
    halves = {}
    for run in (run for run in runs if not run.is_control):
        halves[run.training_set] = half_of(run.data, "train")
        asked = templates.setdefault(run.training_set, set())
        if not run.data.get("text"):
            asked.add(run.prompt["user"])
    held = tuple(tests[name] for name in sorted(tests))
    return {name: TrainingSet(half, tuple(sorted(templates[name])), held) for name, half in halves.items()}


def task_sets(runs: list[Run]) -> dict[str, TaskSet]:
    """The sets of rows of tasks with files of their own, by name, each with all that is trained on in the design."""
    known = asked_sets(runs)
    halves = {task.test_set: task.half for run in runs for task in run.asked if task.data and task.has_own_data}
    trainings = training_sets(runs)
    trained = tuple(trainings[name] for name in sorted(trainings))
    return {name: TaskSet(half, trained) for name, half in halves.items() if name not in known}


def asked_sets(runs: list[Run]) -> dict[str, Half]:
    """What the test sets of a design that come with its data are made from, by name; those of tasks are apart."""
    return {task.test_set: task.half for run in runs for task in run.asked if task.data and not task.has_own_data}
