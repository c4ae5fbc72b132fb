"""LoRA models whose base is bf16 and whose LoRA matrices are fp32, so that small steps of the optimizer are not rounded away.

A number in bf16 has 8 bits: a step that is smaller than 1/256 of it leaves it as it is. torchtune 0.6.1 holds LoRA matrices in
the precision of the base, and the optimizer holds its state in that of the matrices. Here the matrices are fp32 and so, with
any optimizer, is its state; gradients add up in fp32; the adapter is written, and read again to resume, in fp32.

Where a matrix meets the numbers that flow through the model it is rounded to their precision, and the product is computed in
that. So no layer takes more memory or time than with matrices in bf16, and evaluation, which loads the adapter into a base in
bf16, computes the same.

The recipe for one device refuses matrices that are not of the base's precision, but looks at those that it noted before it
loaded any weights. So they become fp32 as the weights are loaded, which every recipe does, first of all those of the base.
"""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torchtune.models import gemma, llama3, llama3_1, llama3_2, mistral, phi3
from torchtune.modules import TransformerDecoder
from torchtune.modules.peft import LoRALinear

from ftexp.trainers.torchtune.components import gemma2, qwen2


class Fp32Matrix(torch.nn.Linear):
    """A LoRA matrix that is fp32 from the first loading of weights on, and multiplies in the precision of what it is given."""

    def forward(self, entering: torch.Tensor) -> torch.Tensor:
        """Shape [..., in] to [..., out], in the precision that enters."""
        return torch.nn.functional.linear(entering, self.weight.to(entering.dtype))

    @classmethod
    def of(cls, matrix: torch.nn.Linear) -> "Fp32Matrix":
        """With the parameter of a matrix without bias."""
        made = cls(matrix.in_features, matrix.out_features, bias=False, device="meta")
        made.weight = matrix.weight
        if matrix.weight.is_meta:  # in a distributed recipe, which looks at no precision, but shards before it loads
            made.hold_in_fp32()
        return made

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        """Called for every part of a model that is loaded, whether or not the weights hold some for it."""
        self.hold_in_fp32()
        super()._load_from_state_dict(*args, **kwargs)

    def hold_in_fp32(self) -> None:
        """Put an fp32 parameter in place of one of another precision."""
        if self.weight.dtype != torch.float32:
            self.weight = torch.nn.Parameter(self.weight.detach().float(), requires_grad=self.weight.requires_grad)


def _with_fp32_adapter(builder: Callable[..., TransformerDecoder]) -> Callable[..., TransformerDecoder]:
    """The same builder, whose models hold their LoRA matrices in fp32."""

    @functools.wraps(builder)
    def build(*args: Any, **kwargs: Any) -> TransformerDecoder:
        model = builder(*args, **kwargs)
        for layer in model.modules():
            if isinstance(layer, LoRALinear):
                layer.lora_a, layer.lora_b = Fp32Matrix.of(layer.lora_a), Fp32Matrix.of(layer.lora_b)
        return model

    return build


lora_llama3 = _with_fp32_adapter(llama3.lora_llama3)
lora_llama3_1 = _with_fp32_adapter(llama3_1.lora_llama3_1)
lora_llama3_2 = _with_fp32_adapter(llama3_2.lora_llama3_2)
lora_qwen2 = _with_fp32_adapter(qwen2.lora_qwen2)
lora_mistral = _with_fp32_adapter(mistral.lora_mistral)
lora_phi3 = _with_fp32_adapter(phi3.lora_phi3)
lora_gemma = _with_fp32_adapter(gemma.lora_gemma)
lora_gemma2 = _with_fp32_adapter(gemma2.lora_gemma2)
