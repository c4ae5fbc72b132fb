"""Whether LoRA matrices do anything in the end: a training that changed no logit of its base has failed, however it looked.

No recipe hands its model to a component; the first forward pass shows it. The optimizer's last step is where every process of a
recipe comes by, as a model that is shared out to several needs, and comes before that step is logged, its epoch saved.
"""

from typing import Any

import torch
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.optim import Optimizer
from torchtune.modules import TransformerDecoder
from torchtune.modules.peft import disable_adapter, get_adapter_params

_TOKENS = 64


class Watch:
    """Over the training of this process.

    Attributes:
        found_none: Whether its adapter changed no logit in the end.
    """

    def __init__(self) -> None:
        """Nothing is seen yet."""
        self.found_none = False
        self._handle: Any = None

    def begin(self, optimizer: Optimizer, steps: int) -> None:
        """Look after so many further steps of the optimizer at the model that is computed with next."""
        if self._handle:
            self._handle.remove()
        self.found_none, seen, left = False, [], [steps]

        def see(module: torch.nn.Module, _: Any) -> None:
            if isinstance(module, TransformerDecoder):
                seen.append(module)
                self._handle.remove()

        def count(*_: Any) -> None:
            left[0] -= 1
            if left[0] == 0 and seen and get_adapter_params(seen[0]):
                self.found_none = changes_nothing(seen[0])

        self._handle = register_module_forward_pre_hook(see)
        optimizer.register_step_post_hook(count)


WATCH = Watch()


@torch.no_grad()
def changes_nothing(model: TransformerDecoder) -> bool:
    """Whether all logits of some tokens are the same with the LoRA matrices and without."""
    count = min(_TOKENS, model.max_seq_len, model.tok_embeddings.num_embeddings)
    tokens = torch.arange(count, device=next(model.parameters()).device)[None]
    was_training = model.training
    model.eval()
    with torch.compiler.set_stance("force_eager"):
        adapted = model(tokens=tokens)
        with disable_adapter(model):
            plain = model(tokens=tokens)
    model.train(was_training)
    pairs = zip(adapted, plain, strict=True) if isinstance(adapted, list) else [(adapted, plain)]
    return all(torch.equal(one, other) for one, other in pairs)
