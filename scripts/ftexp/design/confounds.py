"""What a factor changes beside what it is named for, so that its effect could be of either: named before anything is spent.

Pure on the planned runs. Compared are runs that differ in one factor alone, as the effects compare them. What all its levels
share is no confound, and nothing is said of it.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ftexp.design.factors import Level
from ftexp.design.levels import label_text
from ftexp.design.run import Run
from ftexp.design.settings import SEED
from ftexp.ground.wording import listed

Factors = dict[str, list[Level]]
BATCH = frozenset(("batch_size", "gradient_accumulation_steps"))
# Levels whose numbers a sentence gives.
_MOST_LEVELS = 6


@dataclass(frozen=True)
class Compared:
    """Runs that differ in one factor alone, in the order of its levels.

    Attributes:
        names: What the factor's levels set.
        runs: Per level, as a sentence has it, a run.
    """

    factor: str
    names: frozenset[str]
    runs: dict[str, Run]

    def varies(self, section: str, name: str) -> bool:
        """Whether the runs differ in a number of theirs, `steps` or `settings`."""
        return len({repr(getattr(run, section).get(name)) for run in self.runs.values()}) > 1

    def numbers(self, section: str, name: str) -> list[Any]:
        """The number of each run."""
        return [getattr(run, section).get(name) for run in self.runs.values()]

    def by_level(self, values: Sequence[Any]) -> str:
        """A number for each level: `62 at 160, 248 at 640`; of many levels the least and the largest."""
        if len(self.runs) > _MOST_LEVELS:
            return f"{_number(min(values))} to {_number(max(values))}"
        return ", ".join(f"{_number(value)} at {level}" for level, value in zip(self.runs, values, strict=True))


def confounds(runs: Sequence[Run], factors: Factors) -> list[str]:
    """One sentence for each factor that changes something else too: what, by how much, and how to hold it."""
    sound = [run for run in runs if run.kind == "trained" and run.steps and not run.problems]
    sentences = []
    for factor, levels in factors.items():
        if factor != SEED and len(levels) > 1:
            sets = frozenset(name for level in levels for name in level.sets)
            told = (_sentences(Compared(factor, sets, members)) for members in _members(sound, factor, levels))
            sentences += next(filter(None, told), [])
    return sentences


def derived_along(runs: Sequence[Run], factors: Factors) -> list[str]:
    """What is derived from a factor so that it confounds nothing: to be known, and no warning."""
    ranks = {run.settings["lora_rank"]: run.settings["lora_alpha"] for run in runs if run.kind == "trained"}
    varied = {name for levels in factors.values() if len(levels) > 1 for level in levels for name in level.sets}
    if "lora_rank" not in varied or len(ranks) < 2 or any(alpha != 2 * rank for rank, alpha in ranks.items()):
        return []
    each = ", ".join(f"{_number(alpha)} at {rank}" for rank, alpha in ranks.items())
    return [f"lora_alpha moves with lora_rank ({each}): alpha / rank, by which LoRA's update is multiplied, stays 2"]


def _members(runs: Sequence[Run], factor: str, levels: list[Level]) -> list[dict[str, Run]]:
    """Groups of runs that share all levels but the factor's: per level one; groups of the most levels first."""
    groups: dict[str, dict[str, Run]] = defaultdict(dict)
    for run in runs:
        others = {name: label for name, label in run.levels.items() if name != factor}
        groups[repr(others)][label_text(run.levels[factor])] = run
    order = [label_text(level.label) for level in levels]
    sorted_groups = [{level: members[level] for level in order if level in members} for members in groups.values()]
    return sorted((members for members in sorted_groups if len(members) > 1), key=lambda members: -len(members))


def _sentences(compared: Compared) -> list[str]:
    """What is to be said of these runs, each with its cure."""
    said = [*_rows_and_steps(compared), *_scale(compared), *_precision(compared), *_tests(compared)]
    return [f"experiment.yaml: factors.{compared.factor}: {text}" for text in said]


def _rows_and_steps(compared: Compared) -> list[str]:
    """How many rows train, in how many steps, with what warm-up: one sentence for what of that moves along."""
    moved, cures = [], []
    is_of_epochs = compared.names == {"epochs"}
    has_rows = compared.varies("steps", "train_rows") and "train_size" not in compared.names
    if has_rows:
        rows = compared.numbers("steps", "train_rows")
        moved.append(f"how many rows train ({compared.by_level(rows)})")
        size = _common_rows(compared)
        cures.append(f"train_size: {size} (the rows)" if size else "as many rows as every batch fills")
    if compared.varies("steps", "steps") and not is_of_epochs:
        moved.append(f"the number of steps ({compared.by_level(compared.numbers('steps', 'steps'))})")
        cures += _cure_of_steps(compared, has_rows=has_rows)
    if compared.varies("settings", "warmup_steps") and not compared.names & {"warmup_steps", "warmup_ratio"}:
        warmup = compared.numbers("settings", "warmup_steps")
        moved.append(f"the warm-up ({compared.by_level(warmup)} steps)")
        instead = " in place of warmup_ratio" if any(compared.numbers("settings", "warmup_ratio")) else ""
        cures.append(f"warmup_steps: {min(warmup)}{instead} (the warm-up)")
    has_decay = any(schedule != "constant" for schedule in compared.numbers("settings", "schedule"))
    if is_of_epochs and has_decay and compared.varies("steps", "steps"):
        steps = compared.by_level(compared.numbers("steps", "steps"))
        moved.append(f"the decay of the learning rate, which ends with the last step ({steps})")
        cures.append("nothing holds the decay; a level is a training of its own length, and no shorter one that went on")
    if not moved:
        return []
    return [f"also changes {listed(moved)}, so that its effect may be theirs. To hold them: {'; '.join(cures)}"]


def _cure_of_steps(compared: Compared, *, has_rows: bool) -> list[str]:
    """How to train as many steps at every level; where only the rows move them, holding the rows does."""
    own = compared.names & {"train_size", *BATCH}
    if not own and has_rows:
        return []
    return [f"named levels of one factor that set {listed(sorted(own | {'epochs'}))} together (the steps)"]


def _common_rows(compared: Compared) -> int:
    """As many rows as every level has, and as fill every level's steps; 0 where there are not so many."""
    step = math.lcm(*compared.numbers("steps", "effective_batch"))
    return int(min(compared.numbers("steps", "train_rows")) // step * step)


def _scale(compared: Compared) -> list[str]:
    """A rank that varies under one lora_alpha varies alpha / rank, by which LoRA's update is multiplied."""
    if "lora_rank" not in compared.names or "lora_alpha" in compared.names:
        return []
    pairs = zip(compared.numbers("settings", "lora_alpha"), compared.numbers("settings", "lora_rank"), strict=True)
    scales = [alpha / rank for alpha, rank in pairs]
    if len(set(scales)) == 1:
        return []
    what = f"also changes alpha / rank, by which the update is multiplied ({compared.by_level(scales)})"
    return [f"{what}. Leave lora_alpha out, which is 2 x lora_rank then and holds it at 2"]


def _precision(compared: Compared) -> list[str]:
    """The precision of the base is that of training and of evaluation."""
    names = [name for name in ("dtype", "quantize_base") if compared.varies("settings", name)]
    if not names or "model" in compared.names:
        return []
    what = f"{listed(names)} is that of training and of evaluation, so that its effect may be of either"
    return [f"{what}. Compare the controls too, which differ in evaluation alone"]


def _tests(compared: Compared) -> list[str]:
    """Levels that train on other rows and are tested on other items."""
    tests = {repr(run.data["test"] or _source(run)) for run in compared.runs.values()}
    trainings = {repr(run.data["train"] or _source(run)) for run in compared.runs.values()}
    if len(tests) == 1 or len(trainings) == 1:
        return []
    what = "each level is tested on items of its own, so that its effect may be of the tests"
    return [f"{what}. Let the levels set data.train, beside one data.test for all"]


def _source(run: Run) -> Any:
    return run.data["source"], run.data["split"]


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"
