"""Whether the rows that runs train on and are asked are those of the data, the prompts and the tests as they are now."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from ftexp.data.held_out import TaskSet, TrainingSet, task_inputs, training_inputs
from ftexp.data.splits import VALIDATION, Half, set_inputs
from ftexp.design.planning import planned_runs
from ftexp.design.run import Run, Task
from ftexp.design.trainings import asked_sets, task_sets, training_sets
from ftexp.ground import paths
from ftexp.ground.filesystem import read_mapping
from ftexp.ground.memories import FileHashes


class Missing(Exception):
    """An input of a stage is not there yet; the text says which."""


def there(path: Path, target: str) -> Path:
    """The path of a file that is there.

    Raises:
        Missing: If it is not, with the target that makes it.
    """
    if not path.is_file():
        raise Missing(f"{path} is missing: `{target}`")
    return path


class RowSets:
    """The sets of rows that `make split` made, each asked once."""

    def __init__(self, hashes: FileHashes) -> None:
        self._hashes = hashes
        self._is_current: dict[tuple[str, str], bool] = {}

    def trained(self, run: Run) -> Path:
        """The file of the rows that a run trains on.

        Raises:
            Missing: As `_current`.
        """
        return self._current(run.training_set, "train", lambda: self._of_training(run))

    def validated(self, run: Run) -> Path:
        """The file of the rows that a run's training is validated by.

        Raises:
            Missing: As `_current`.
        """
        return self._current(run.training_set, VALIDATION, lambda: self._of_training(run))

    def asked(self, run: Run, task: Task) -> Path:
        """The file of the rows that a run is asked in a task.

        Raises:
            Missing: As `_current`.
        """
        return self._current(task.test_set, "test", lambda: self._of_task(run, task))

    def _current(self, name: str, part: str, wanted: Callable[[], dict[str, Any]]) -> Path:
        """The file of a set of rows.

        Raises:
            Missing: If it is not there, or not of the data as it is now, or not all is held out that the tests hold now.
        """
        rows, made = (there(path(name, part), "make split") for path in (paths.split_part, paths.split_json))
        if (name, part) not in self._is_current:
            known = (read_mapping(made, ("inputs",)) or {"inputs": {}})["inputs"]
            self._is_current[name, part] = all(known.get(key) == value for key, value in wanted().items())
        if not self._is_current[name, part]:
            what = "the data, the prompts or the tests" if part != "test" else "the data, or what is trained,"
            raise Missing(f"{what} changed since {rows} was made: `make split`")
        return rows

    def _of_training(self, run: Run) -> dict[str, Any]:
        """What a training set has to be made from."""
        known = self._trainings
        if run.training_set not in known:  # a run of an earlier design
            known = training_sets([*planned_runs(), run])
        return training_inputs(known[run.training_set], self._hashes)

    def _of_task(self, run: Run, task: Task) -> dict[str, Any]:
        """What a task's rows have to be made from."""
        if not task.has_own_data or task.test_set in self._tests_of_data:
            return set_inputs(task.half, self._hashes)
        known = self._tasks
        if task.test_set not in known:
            known = task_sets([*planned_runs(), run])
        return task_inputs(known[task.test_set], self._hashes)

    @cached_property
    def _trainings(self) -> dict[str, TrainingSet]:
        """The training sets of all planned runs, because what any of them is asked is held out."""
        return training_sets(planned_runs())

    @cached_property
    def _tasks(self) -> dict[str, TaskSet]:
        """The sets of rows of all tasks with files of their own."""
        return task_sets(planned_runs())

    @cached_property
    def _tests_of_data(self) -> dict[str, Half]:
        """The test sets that come with the data of the planned runs."""
        return asked_sets(planned_runs())
