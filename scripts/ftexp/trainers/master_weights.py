"""AdamW for a full fine-tune in bf16, with the weights and its state in fp32 beside the model's.

A step that is smaller than 1/256 of a weight is lost in bf16. Here it is taken in fp32, on a copy, and the model's weight is
what the copy rounds to: the model computes, is saved and is evaluated in bf16, while small steps add up.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch.optim.adamw import adamw

# The copy's name in the state, beside those that torch's AdamW gives.
COPY = "weight"
_OF_STATE = ("exp_avg", "exp_avg_sq", COPY)


class AdamW(torch.optim.AdamW):
    """torch's AdamW, on fp32 copies of the parameters."""

    def __init__(
        self, params: Any, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0.01, fused: bool | None = None,
    ) -> None:
        """The arguments of torch's that a step here has."""
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, fused=fused)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step with the gradients that the parameters have."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._step_of(parameter, parameter.grad.float(), group)
        return loss

    def _step_of(self, parameter: torch.Tensor, gradient: torch.Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            copy = parameter.detach().float()
            count = torch.zeros((), dtype=torch.float32, device=parameter.device if group["fused"] else "cpu")
            state |= {"step": count, "exp_avg": torch.zeros_like(copy), "exp_avg_sq": torch.zeros_like(copy), COPY: copy}
        adamw(
            [state[COPY]], [gradient], [state["exp_avg"]], [state["exp_avg_sq"]], [], [state["step"]],
            fused=group["fused"], amsgrad=False, beta1=group["betas"][0], beta2=group["betas"][1], lr=group["lr"],
            weight_decay=group["weight_decay"], eps=group["eps"], maximize=False,
        )
        parameter.copy_(state[COPY])

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state to resume from, in fp32; torch's own rounds it to the parameters' precision."""
        super().load_state_dict(state_dict)
        for saved, parameter in zip(_parameters(state_dict["param_groups"]), _parameters(self.param_groups), strict=True):
            for name in _OF_STATE if saved in state_dict["state"] else ():
                self.state[parameter][name] = state_dict["state"][saved][name].to(parameter.device, torch.float32, copy=True)


def _parameters(groups: Iterable[dict[str, Any]]) -> Iterator[Any]:
    """All groups' parameters in their order, or what stands for them in a saved state."""
    return (parameter for group in groups for parameter in group["params"])
