"""Qwen2 with its whole base quantised: torchtune 0.6.1 quantises only those of its matrices that get LoRA matrices.

In the other families it quantises all of them. Here likewise, so that the base is the same whichever layers are trained, and
runs that differ in `lora_modules` share their control.
"""

import functools
from typing import Any

import torch
from torchtune.models import qwen2 as stock
from torchtune.modules import TransformerDecoder
from torchtune.modules.low_precision import FrozenNF4Linear

_MATRICES = ("attn.q_proj", "attn.k_proj", "attn.v_proj", "attn.output_proj", "mlp.w1", "mlp.w2", "mlp.w3")


@functools.wraps(stock.lora_qwen2)
def lora_qwen2(*args: Any, **kwargs: Any) -> TransformerDecoder:
    """torchtune's builder; where the base is quantised, so are the layers' matrices without LoRA matrices."""
    model: Any = stock.lora_qwen2(*args, **kwargs)
    for layer in model.layers if kwargs.get("quantize_base") else ():
        for name in _MATRICES:
            matrix = layer.get_submodule(name)
            if isinstance(matrix, torch.nn.Linear):
                frozen = FrozenNF4Linear(matrix.in_features, matrix.out_features, bias=matrix.bias is not None)
                layer.set_submodule(name, frozen)
    return model
