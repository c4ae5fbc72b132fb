"""Random models under the names and shapes of nanoGPT's checkpoints."""

import torch

SIZES = {"n_layer": 3, "n_head": 4, "n_embd": 32, "block_size": 48, "vocab_size": 258, "dropout": 0.1}


def tensors(*, bias: bool, **changes: int) -> dict[str, torch.Tensor]:
    """A random model under nanoGPT's names."""
    sizes = {**SIZES, **changes}
    width, generator = sizes["n_embd"], torch.Generator().manual_seed(0)
    layers: dict[str, tuple[int, ...]] = {"transformer.ln_f": (width,)}
    for number in range(sizes["n_layer"]):
        block = f"transformer.h.{number}."
        layers |= {block + "ln_1": (width,), block + "ln_2": (width,), block + "attn.c_attn": (3 * width, width)}
        layers |= {block + "attn.c_proj": (width, width), block + "mlp.c_fc": (4 * width, width)}
        layers[block + "mlp.c_proj"] = (width, 4 * width)
    shapes = {"transformer.wte.weight": (sizes["vocab_size"], width), "transformer.wpe.weight": (sizes["block_size"], width)}
    shapes |= {f"{name}.weight": shape for name, shape in layers.items()}
    shapes |= {f"{name}.bias": shape[:1] for name, shape in layers.items()} if bias else {}
    held = {name: 0.3 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    return {**held, "lm_head.weight": held["transformer.wte.weight"]}
