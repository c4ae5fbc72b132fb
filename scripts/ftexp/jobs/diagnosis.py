"""Why a training died, where the system knows better than its exit status: memory, GPU memory, disk."""

import shutil
from pathlib import Path

from ftexp.ground.own_code import EDITED
from ftexp.trainers.tracking import REFUSED

# Bytes: less than a training that could write would have left.
_NEXT_TO_NOTHING = 1_000_000
_SIGNS = {
    "out of GPU memory": ("OutOfMemoryError", "CUDA out of memory"),
    "no Weights & Biases": (REFUSED,),
    "the code was edited while it began": (EDITED,),
    "disk full": ("No space left on device", "Disk quota exceeded", "PytorchStreamWriter failed writing"),
}
ADVICE = {
    "out of GPU memory": (
        "In experiment.yaml halve batch_size and double gradient_accumulation_steps (the effective batch stays), or set "
        "enable_activation_checkpointing: true; or ask for a larger GPU in site.yaml"
    ),
    "no Weights & Biases": (
        "Its reason is in the log. See to the key (WANDB_API_KEY in .env) and the network, or set offline: true or "
        "wandb_project: null in site.yaml"
    ),
    "the code was edited while it began": "Its log names the file. Run: make validate, then the same command again",
    "disk full": "Make room where .scratch and runs are, or ask for a larger quota",
}


def sign_in_log(log: Path, from_byte: int) -> str | None:
    """What a log says after its byte `from_byte`: a key of `ADVICE`, or None."""
    if not log.is_file():
        return None
    with log.open("rb") as file:
        file.seek(from_byte)
        return sign_in_text(file.read().decode("utf-8", errors="replace"))


def sign_in_text(text: str) -> str | None:
    """The same, of a message."""
    return next((sign for sign, words in _SIGNS.items() if any(word in text for word in words)), None)


def sign_on_disk(folder: Path) -> str | None:
    """`disk full` where next to nothing is left, and so no log could say it."""
    return "disk full" if shutil.disk_usage(folder).free < _NEXT_TO_NOTHING else None


def cgroup_kills(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int:
    """How many processes of this process's control group the kernel has killed for want of memory; 0 where it does not say.

    Version 2 counts `oom_kill` in memory.events, version 1 in memory.oom_control.
    """
    for line in own.read_text(encoding="utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        counts = (root / "memory" if controllers else root) / path.lstrip("/") / (
            "memory.oom_control" if controllers else "memory.events"
        )
        if counts.is_file():
            words = dict(entry.split() for entry in counts.read_text(encoding="utf-8").splitlines())
            return int(words.get("oom_kill", 0))
    return 0
