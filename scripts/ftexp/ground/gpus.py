"""The GPUs of this machine, asked of the driver, without torch."""

import os
import re
import subprocess

# A line of nvidia-smi's; what else it prints is about no GPU.
_GPU = re.compile(r"GPU \d+: (.+?) \(UUID")


# What CUDA_VISIBLE_DEVICES says where it names none: CUDA ends at the first that is none, and Slurm writes the last of these.
_NONE = ("-1", "NoDevFiles")


def gpu_ids() -> list[str]:
    """The GPUs that may be used here, as CUDA_VISIBLE_DEVICES names them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        named = [name.strip() for name in visible.split(",") if name.strip()]
        return [] if not named or named[0] in _NONE else named
    return [str(number) for number in range(len(gpu_names()))]


def gpu_names() -> list[str]:
    """The names of the GPUs that the driver shows; in a job those that it was given."""
    try:
        listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return []
    return [match[1] for line in listed.stdout.splitlines() if (match := _GPU.match(line))]
