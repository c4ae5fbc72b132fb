"""What an experiment will cost, from its configs, its rows and the site: counted, not guessed; what is not known is said.

Reads nothing itself but config.json of the base models. Writes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ftexp.checks.measured_memory import memory_in_words
from ftexp.design.run import Run
from ftexp.design.runs import rows_of_size
from ftexp.design.settings import DTYPES, is_quantized
from ftexp.jobs.site import Site
from ftexp.models.config_json import model_parameters
from ftexp.trainers.interface import Sizes
from ftexp.trainers.recipes import is_lora


@dataclass(frozen=True)
class Cost:
    """Of one training.

    Attributes:
        rows: Training rows of an epoch; rows_left_out fill no step, the same ones for every seed.
        longest_row: In tokens, prompt and answer.
        tokens: Over all epochs, prompts and answers, padding aside.
        steps: Optimiser steps.
        disk_mb: The checkpoint that is kept, in MB (1e6 bytes).
        weights_gb: The base weights in memory, in GB (1e9 bytes); None for a quantised base.
    """

    parameters: int
    trained_parameters: int
    rows: int
    rows_left_out: int
    longest_row: int
    tokens: int
    steps: int
    disk_mb: float
    weights_gb: float | None


def cost_of(run: Run, sizes: Sizes, lengths: Sequence[int]) -> Cost:
    """What one training costs.

    Args:
        run: Its run.yaml.
        lengths: (rows,) tokens of each training row, in the split's order.
    """
    settings, rows = run.settings, run.steps["train_rows"]
    size, trained = DTYPES[settings["dtype"]], sizes.trained(settings["lora_rank"])
    used = lengths[:rows]
    # An adapter is fp32 whatever the base is.
    kept = trained * DTYPES["fp32"] if is_lora(settings["recipe"]) else sizes.parameters * size
    return Cost(
        parameters=sizes.parameters, trained_parameters=trained, rows=rows,
        rows_left_out=rows_of_size(settings["train_size"], len(lengths)) - rows, longest_row=max(used),
        tokens=settings["epochs"] * sum(used), steps=run.steps["steps"],
        disk_mb=round(kept / 1e6, 3),
        weights_gb=None if is_quantized(settings) else round(sizes.parameters * size / 1e9, 4),
    )


def cost_in_words(
    costs: Mapping[str, Mapping[str, Any]], runs: Sequence[Run], site: Site, peaks: Mapping[str, float]
) -> str:
    """The cost of all trainings in some lines; ranges where runs differ.

    Args:
        costs: Per trained run the fields of its `Cost`.
        peaks: Per run the peak GPU memory in GiB, where it was measured.
    """
    lines = [
        ("parameters", _range(costs, "parameters")), ("trained parameters", _range(costs, "trained_parameters")),
        ("rows", f"{_range(costs, 'rows')} an epoch; {_range(costs, 'rows_left_out')} left out, which fill no step"),
        ("longest row", f"{_range(costs, 'longest_row')} tokens; none is cut"),
        ("tokens", f"{_range(costs, 'tokens')} a run over all epochs, {_total(costs, 'tokens'):,.0f} in all"),
        ("steps", f"{_range(costs, 'steps')} a run, {_total(costs, 'steps'):,.0f} in all"),
        ("disk", f"{_total(costs, 'disk_mb'):,.1f} MB of checkpoints, and up to three times that while training"),
        ("GPU hours", _gpu_hours(runs, site)), ("peak GPU memory", memory_in_words(peaks, len(costs), _weights(costs))),
    ]
    width = max(len(name) for name, _ in lines)
    count = len(costs)
    return "\n".join([f"cost of {count} training{'s' * (count != 1)}:", *(f"  {name:<{width}}  {text}" for name, text in lines)])


def _range(costs: Mapping[str, Mapping[str, Any]], name: str) -> str:
    values = [cost[name] for cost in costs.values()]
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _total(costs: Mapping[str, Mapping[str, Any]], name: str) -> float:
    return float(sum(cost[name] for cost in costs.values()))


def _gpu_hours(runs: Sequence[Run], site: Site) -> str:
    """What the jobs ask for: walltime x GPUs, summed over runs and stages; no prediction."""
    hours = 0.0
    for run in runs:
        for stage in run.stages:
            asked = site.resources(stage, model_parameters(run.settings["model"]))
            hours += asked.gpus * asked.time_min / 60
    if not hours:
        return "none asked: site.yaml gives no job a GPU and a walltime"
    return f"at most {hours:,.1f}: walltime x GPUs of {len(runs)} runs, evaluations included"


def _weights(costs: Mapping[str, Mapping[str, Any]]) -> str:
    weights = [cost["weights_gb"] for cost in costs.values() if cost["weights_gb"] is not None]
    return f"; the base weights alone take {_size(max(weights))}" if weights else ""


def _size(gigabytes: float) -> str:
    return f"{gigabytes:,.1f} GB" if gigabytes >= 1 else f"{1000 * gigabytes:,.1f} MB"
