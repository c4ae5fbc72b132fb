"""Parts of a config that cost nothing to build are built, as the recipe would: what their own code refuses is known at once."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

Config = dict[str, Any]
# What the components of torch and torchtune raise for a value that they cannot use.
_REFUSALS = (ValueError, TypeError, ZeroDivisionError, AssertionError, RuntimeError)


def check_parts(config: Config) -> list[str]:
    """The optimizer, over one number, and the loss can be built.

    Args:
        config: A config in which nothing is wrong with keys and types.
    """
    import torch

    arguments: dict[str, tuple[Any, ...]] = {"optimizer": ([torch.nn.Parameter(torch.zeros(1))],), "loss": ()}
    messages = []
    for key, given in arguments.items():
        section = config.get(key)
        if isinstance(section, dict) and "_component_" in section:
            messages += _build(key, config, given)[1]
    return messages


def build_model(config: Config) -> "tuple[dict[str, torch.Tensor], list[str]]":
    """The model, without data and unquantised, which takes no time.

    Returns:
        Its parameters by name, LoRA matrices among them; or none, and why it cannot be built.
    """
    import torch

    section = {key: value for key, value in config["model"].items() if key != "quantize_base"}
    section["_component_"] = section["_component_"].replace(".qlora_", ".lora_")
    with torch.device("meta"):
        model, messages = _build("model", {**config, "model": section}, ())
    return (dict(model.state_dict()) if model is not None else {}), messages


def _build(key: str, config: Config, given: tuple[Any, ...]) -> tuple[Any, list[str]]:
    from omegaconf import OmegaConf
    from torchtune.config import instantiate

    try:
        return instantiate(OmegaConf.create(config)[key], *given), []
    except _REFUSALS as error:
        return None, [f"{key}: cannot be built: {str(error).partition(chr(10))[0]}. Correct its values"]
