"""The device that torch computes on: what was asked for, or an error. Never a CPU in place of a GPU that was given."""

import os

from ftexp.ground.errors import UserError
from ftexp.ground.gpus import gpu_ids, gpu_names


def usable_device(wanted: str) -> str:
    """`cpu` or `cuda`, of what site.yaml asks for: auto is a GPU where one was given to this process, and a CPU where none was.

    Raises:
        UserError: If torch cannot use a GPU that was asked for, or given.
    """
    import torch

    if wanted not in ("auto", "cuda"):
        return wanted
    if torch.cuda.is_available():
        return "cuda"
    if wanted == "cuda":
        raise UserError("site.yaml: device: is cuda, but torch finds no GPU here. Set auto or cpu, or run where there is one")
    if not gpu_ids():
        return "cpu"
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    given = f"nvidia-smi lists {', '.join(gpu_names())}" if visible is None else f"CUDA_VISIBLE_DEVICES is {visible!r}"
    raise UserError(
        f"site.yaml: device: is auto, and a GPU was given ({given}), but torch cannot use it: {_why_not()}. Mend that, or set "
        "device: cpu (for one call: CUDA_VISIBLE_DEVICES= make submit) to compute on the CPU"
    )


def _why_not() -> str:
    import torch

    if torch.version.cuda is None:
        return f"torch {torch.__version__} is built without CUDA"
    return f"no GPU of that name, or a driver too old for CUDA {torch.version.cuda}"


def name_of(device: str) -> str:
    """`cpu`, or the name of the GPU that torch computes on by default."""
    import torch

    return device if device == "cpu" else str(torch.cuda.get_device_name(torch.device(device)))
