"""What a training computes on, by its own word: in its own output folder, from within the process that computes."""

from pathlib import Path

DEVICE_FILE = "device.txt"


def write_device(folder: Path, name: str, processes: int, *, is_resumed: bool) -> None:
    """Write it down; what a training that goes on began on, before that.

    Args:
        name: `cpu`, or the GPU's name as torch calls it.
    """
    path = folder / DEVICE_FILE
    now = f"{processes} x {name}" if processes > 1 else name
    before = path.read_text(encoding="utf-8").strip() if is_resumed and path.is_file() else now
    path.write_text((before if before.endswith(now) else f"{before}, then {now}") + "\n", encoding="utf-8")


def device_used(folder: Path) -> str:
    """What was written."""
    return (folder / DEVICE_FILE).read_text(encoding="utf-8").strip()
