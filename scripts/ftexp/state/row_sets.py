"""Whether the rows that runs train on and are asked are those of the data, the prompts and the tests as they are now."""

from functools import cached_property
from pathlib import Path
from typing import Any

from ftexp.data.held_out import TrainingSet, training_inputs
from ftexp.data.splits import half_of, set_inputs
from ftexp.design.planning import planned_runs
from ftexp.design.run import Run
from ftexp.design.trainings import training_sets
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

    def current(self, run: Run, part: str) -> Path:
        """The file of the rows that a run trains on, or is asked.

        Raises:
            Missing: If it is not there, or not of the data as it is now, or not all is held out that the tests hold now.
        """
        name = run.training_set if part == "train" else run.test_set
        rows, made = (there(path(name, part), "make split") for path in (paths.split_part, paths.split_json))
        if (name, part) not in self._is_current:
            known = (read_mapping(made, ("inputs",)) or {"inputs": {}})["inputs"]
            self._is_current[name, part] = all(known.get(key) == value for key, value in self._wanted(run, part).items())
        if not self._is_current[name, part]:
            what = "the data, the prompts or the tests" if part == "train" else "the data"
            raise Missing(f"{what} changed since {rows} was made: `make split`")
        return rows

    def _wanted(self, run: Run, part: str) -> dict[str, Any]:
        """What a set of rows has to be made from."""
        if part == "test":
            return set_inputs(half_of(run.data, "test"), self._hashes)
        known = self._of_design
        if run.training_set not in known:  # a run of an earlier design
            known = training_sets([*planned_runs(), run])
        return training_inputs(known[run.training_set], self._hashes)

    @cached_property
    def _of_design(self) -> dict[str, TrainingSet]:
        """The training sets of all planned runs, because what any of them is asked is held out."""
        return training_sets(planned_runs())
