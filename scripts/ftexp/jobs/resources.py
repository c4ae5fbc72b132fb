"""What a job asks for: time, memory, cores, and GPUs, by their number or their type and number."""

import re
from dataclasses import dataclass
from typing import Any

from ftexp.design.run import STAGES
from ftexp.ground.errors import Findings

RESOURCES = ("time_min", "mem_gb", "cpus", "gpus")
# sbatch's option for `gpus_as`, and what stands before type and number.
GPU_OPTIONS = {
    "gres": ("--gres", "gpu:"), "gpus-per-node": ("--gpus-per-node", ""), "gpus-per-task": ("--gpus-per-task", ""),
    "gpus": ("--gpus", ""), "none": None,
}
_GPUS = re.compile(r"(?!(?:gpus?|gres|mps|shard):)(?P<type>[A-Za-z0-9][A-Za-z0-9._-]*):(?P<number>[1-9]\d*)")
_OR_TYPE = ", or a type and a number such as a100:2"
_ELSEWHERE = " If the partition gives it unasked, or job.slurm.template asks, set gpus_as: none."
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([MB])")
_UNITS = {"M": 1e6, "B": 1e9}
# Slurm's warning may come so much too early (`man sbatch`, --signal).
SIGNAL_EARLY_S = 60
# A model called 7B may have 6.7 billion parameters (Llama 2).
SIZE_TOLERANCE = 0.9


@dataclass(frozen=True)
class Resources:
    """What one job asks for.

    Attributes:
        time_min: Walltime in minutes.
        mem_gb: Memory in GB.
        cpus: Cores.
        gpus: GPUs; a distributed recipe starts one process on each.
        gpu_type: Their type, as the cluster calls it; empty: any.
    """

    time_min: int
    mem_gb: int
    cpus: int
    gpus: int
    gpu_type: str = ""


def read_gpus(asked: int | str) -> tuple[int, str]:
    """Number and type of `gpus`; the type is empty where none is named."""
    match = _GPUS.fullmatch(asked) if isinstance(asked, str) else None
    return (int(match["number"]), match["type"]) if match else (int(asked), "")


def gpu_request(asked: Resources, gpus_as: str) -> dict[str, str]:
    """The option of sbatch and its value by which a job gets its GPUs; empty where it asks for none."""
    option = GPU_OPTIONS[gpus_as]
    if option is None or not asked.gpus:
        return {}
    name, before = option
    return {name: f"{before}{asked.gpu_type}{':' if asked.gpu_type else ''}{asked.gpus}"}


def parameters_of(size: str) -> float:
    """The number that a size such as 7B stands for."""
    match = _SIZE.fullmatch(size)
    assert match is not None, "sizes were checked"
    return float(match[1]) * _UNITS[match[2]]


def check_all_resources(found: Findings, known: dict[str, Any]) -> None:
    """Each resource of train, eval and sizes by itself."""
    is_slurm = known.get("backend") == "slurm"
    for stage in STAGES:
        asked = known.get(stage, {})
        _check_resources(found, stage, asked)
        for name in RESOURCES if is_slurm else ():
            if name not in asked:
                what = "is missing, and Slurm has to be asked for something"
                found.add(f"{stage}.{name}", what, f"Set all of {', '.join(RESOURCES)}.")
    for size, stages in known.get("sizes", {}).items():
        if not isinstance(size, str) or not _SIZE.fullmatch(size):
            found.add(f"sizes.{size}", "must be a number of parameters such as 500M or 7B")
        elif not isinstance(stages, dict):
            found.add(f"sizes.{size}", f"must be a mapping of {' and '.join(STAGES)}, got {stages!r}")
        else:
            for stage, asked in stages.items():
                if stage not in STAGES:
                    found.unknown(f"sizes.{size}.{stage}", STAGES)
                else:
                    _check_resources(found, f"sizes.{size}.{stage}", asked)


def check_together(found: Findings, known: dict[str, Any], warn_s: int) -> None:
    """What no key says by itself: walltime and warning, device and GPUs."""
    asked = {stage: known[stage] for stage in STAGES}
    for size, stages in known.get("sizes", {}).items():
        asked |= {f"sizes.{size}.{stage}": {**known[stage], **more} for stage, more in stages.items()}
    for where, resources in asked.items():
        if warn_s and resources["time_min"] * 60 <= warn_s + SIGNAL_EARLY_S:
            what = f"is {resources['time_min']}, and warn_s is {warn_s}, so a job could be warned of its end as it begins"
            found.add(f"{where}.time_min", what, "Raise it, or lower warn_s.")
        is_asked = known.get("gpus_as") != "none"
        if known.get("device") == "cuda" and is_asked and not read_gpus(resources["gpus"])[0]:
            found.add(f"{where}.gpus", "is 0, and device is cuda", f"Ask for a GPU, or set device: cpu.{_ELSEWHERE}")


def _check_resources(found: Findings, where: str, asked: Any) -> None:
    if not isinstance(asked, dict):
        found.add(where, f"must be a mapping of {', '.join(RESOURCES)}, got {asked!r}")
        return
    for name, value in asked.items():
        least = 0 if name == "gpus" else 1
        if name not in RESOURCES:
            found.unknown(f"{where}.{name}", RESOURCES)
        elif name == "gpus" and isinstance(value, str):
            _check_gpus(found, where, value)
        elif not isinstance(value, int) or isinstance(value, bool) or value < least:
            what = f"must be a whole number, {least} or more{_OR_TYPE if name == 'gpus' else ''}, got {value!r}"
            found.add(f"{where}.{name}", what)


def _check_gpus(found: Findings, where: str, asked: str) -> None:
    """GPUs that are given as text: a type and a number."""
    if _GPUS.fullmatch(asked):
        return
    words = [word for word in re.split(r"[:=\s]+", asked) if word not in ("gpu", "gres/gpu", "x")]
    kinds = [word for word in words if re.fullmatch(r"[A-Za-z0-9._-]*[A-Za-z][A-Za-z0-9._-]*", word)]
    numbers = [word for word in words if re.fullmatch(r"[1-9]\d*", word)]
    cure = ""
    if len(kinds) + len(numbers) == len(words) and len(kinds) < 2 and len(numbers) < 2:
        cure = f"Write {':'.join([*kinds, *(numbers or ['1'])])}."
    found.add(f"{where}.gpus", f"must be a whole number, 0 or more{_OR_TYPE}, got {asked!r}", cure)
