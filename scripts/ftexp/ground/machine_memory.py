"""How much memory is free for this process: of the machine, and of the job that it runs in."""

from pathlib import Path

from ftexp.ground.own_job import own_job

_MEMINFO = Path("/proc/meminfo")
_CGROUPS = Path("/sys/fs/cgroup")


def free_gigabytes() -> float:
    """Memory in GB (1e9 bytes) that can be had without swapping, by the machine, its control group and what the job was given."""
    asked = own_job().mem_gb
    limits = [_free_on_machine(), *_free_in_cgroup(), *([float(asked) * 1e9] if asked else [])]
    return min(limits) / 1e9


def _free_on_machine() -> float:
    lines = dict(line.split(":", 1) for line in _MEMINFO.read_text(encoding="ascii").splitlines())
    return float(lines["MemAvailable"].split()[0]) * 1024


def _free_in_cgroup() -> list[float]:
    """Of a container that shows its own group at the top; nothing where there is no limit."""
    limit, used = _CGROUPS / "memory.max", _CGROUPS / "memory.current"
    if not (limit.is_file() and used.is_file()):
        return []
    text = limit.read_text(encoding="ascii").strip()
    return [] if text == "max" else [float(text) - float(used.read_text(encoding="ascii"))]
