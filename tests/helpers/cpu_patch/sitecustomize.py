"""For tests only: lets torchtune 0.6.1's distributed recipes train on the CPU.

Python imports this file at its start wherever its folder is on PYTHONPATH; it acts only in the workers of `torchrun`, which
import torch anyway. By line, what torchtune lacks on the CPU:

- The LoRA recipe asks for the backend `cuda:nccl,cpu:gloo`; a torch without CUDA has no NCCL.
- `cleanup_before_training` calls two functions of `torch.cuda` that `torch.cpu` does not have.
- `get_memory_stats`, called once after the model is set up, refuses a CPU. torchtune is imported by the time a process group is
  made, and the recipes reach it by its module's attribute.
"""

import os
from typing import Any


def _patch() -> None:
    import torch
    import torch.distributed

    original = torch.distributed.init_process_group

    def init_process_group(backend: str, **options: Any) -> None:
        from torchtune import training

        training.get_memory_stats = lambda device: dict.fromkeys(_MEMORY_STATS, 0.0)
        original("gloo", **options)

    torch.distributed.init_process_group = init_process_group  # type: ignore[assignment]
    torch.cpu.empty_cache = torch.cpu.reset_peak_memory_stats = lambda: None  # type: ignore[attr-defined]


_MEMORY_STATS = ("peak_memory_active", "peak_memory_alloc", "peak_memory_reserved")

if "LOCAL_RANK" in os.environ:
    _patch()
