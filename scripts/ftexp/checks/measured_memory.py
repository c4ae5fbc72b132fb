"""Peak GPU memory as it was measured: of a run's own training, or of another of the same kind in this experiment.

Reads runs/<id>/train.csv of finished trainings. Writes nothing.
"""

import csv
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from ftexp.design.run import Run
from ftexp.ground import paths

# Settings that change the size of no tensor.
_FREE = ("seed", "lr", "epochs", "warmup_steps", "lora_alpha", "gradient_accumulation_steps")
# Measurements of one kind that are further apart than this share of the larger one bear nothing out.
_SPREAD = 0.2


def measured_peaks(runs: Sequence[Run], finished: Collection[str]) -> dict[str, float]:
    """Peak memory in GiB per run that trains, of whose kind trainings were measured, and agree within 20 %.

    Args:
        runs: Every run.yaml.
        finished: Ids of the runs whose training is done, for their present config.
    """
    kinds = {run.id: _kind(run) for run in runs if run.trains}
    found: dict[str, list[float]] = defaultdict(list)
    for name, kind in kinds.items():
        if name in finished:
            found[kind] += _peaks(name)
    agreed = {kind: max(peaks) for kind, peaks in found.items() if peaks and min(peaks) >= (1 - _SPREAD) * max(peaks)}
    return {name: agreed[kind] for name, kind in kinds.items() if kind in agreed}


def memory_in_words(peaks: Mapping[str, float], trainings: int, least: str) -> str:
    """What is known of the trainings' memory, and of how many it is not.

    Args:
        least: What is certain all the same.
    """
    if not peaks:
        return f"not known: no training of this kind was measured on a GPU yet{least}"
    low, high = min(peaks.values()), max(peaks.values())
    figures = dict.fromkeys(f"{value:,.1f}" for value in (low, high))
    said = f"{' to '.join(figures)} GiB, measured in trainings of the same kind"
    rest = trainings - len(peaks)
    return said + (f"; not known of {rest} others{least}" if rest else "")


def _kind(run: Run) -> str:
    """All that decides how much memory a training takes."""
    settings = {name: value for name, value in run.settings.items() if name not in _FREE}
    return repr((settings, run.overrides, run.prompt, run.training_set))


def _peaks(run: str) -> list[float]:
    """The largest value of a finished training; none on a CPU, where nothing is measured."""
    with paths.RunPaths(run).train_csv.open(encoding="utf-8", newline="") as file:
        values = [float(row["peak_gb"]) for row in csv.DictReader(file) if row["peak_gb"]]
    return [max(values)] if values else []
