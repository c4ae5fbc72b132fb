"""What was kept of trainings that are validated: columns of results.csv where a run is, and part of `make cite`."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from ftexp.data.splits import VALIDATION
from ftexp.design.run import Run
from ftexp.ground import paths
from ftexp.ground.filesystem import read_json
from ftexp.trainers.looks_in_words import kept_look, why_kept
from ftexp.trainers.validation_csv import Look, read_looks

KEPT_COLUMNS = ("validation", "kept_step", "kept_why")


def kept_columns(runs: Iterable[Run]) -> tuple[str, ...]:
    """The columns, where some run is validated; else none."""
    return KEPT_COLUMNS if any(run.validation for run in runs) else ()


def looks_of(run: Run) -> tuple[Look, ...]:
    """The looks at the training that a run is evaluated on, once that is done; none where it is not validated."""
    return tuple(read_looks(paths.RunPaths(run.training).validation_csv)) if run.validation else ()


def validation_of(run: Run, looks: Sequence[Look]) -> float | None:
    """The value of the kept step by `validation.metric`; None where there is none, or it is not a number."""
    value = kept_look(looks).values[run.validation["metric"]] if looks else math.nan
    return value if math.isfinite(value) else None


def kept_values(run: Run, looks: Sequence[Look]) -> dict[str, str]:
    """The columns of a run as text, empty where nothing is known."""
    if not looks:
        return dict.fromkeys(KEPT_COLUMNS, "")
    value = validation_of(run, looks)
    return {
        "validation": "" if value is None else format(value, ".6g"), "kept_step": str(kept_look(looks).step),
        "kept_why": why_kept(run.validation, looks, run.steps["steps"]),
    }


def provenance_of_kept(run: Run) -> dict[str, Any]:
    """What a validated run's kept step stands on: the rows, by what was chosen, every look; empty of any other run."""
    if not run.validation:
        return {}
    looks, rows = looks_of(run), paths.split_part(run.training_set, VALIDATION)
    made = read_json(paths.split_json(run.training_set, VALIDATION))
    return {"validation": {
        "file": str(rows), "rows": made["rows"], "sha256": made["sha256"], **run.validation,
        "kept_step": kept_look(looks).step, "kept_why": why_kept(run.validation, looks, run.steps["steps"]),
        "looks": [{"step": look.step, **look.values} for look in looks],
    }}
