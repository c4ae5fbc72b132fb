"""The checkpointer component: a right export for every accepted model, and states that belong together."""

import json
import os
import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torchtune import training
from torchtune.modules.peft import get_lora_module_names
from torchtune.training import FullModelHFCheckpointer, ModelType

from ftexp.ground.cores import take_own_threads
from ftexp.ground.filesystem import follow_umask
from ftexp.ground.own_code import import_own_code
from ftexp.models.config_json import read_model_config
from ftexp.models.library_keys import for_transformers
from ftexp.models.weights import HEAD, check_tied
from ftexp.trainers.child_process import die_with_launcher
from ftexp.trainers.lora_names import OUTPUT
from ftexp.trainers.lora_start import initial_a
from ftexp.trainers.numbered_dirs import remove_before
from ftexp.trainers.torchtune.components.phi3_adapter import peft_config, peft_weights
from ftexp.trainers.torchtune.components.resume import RECIPE_STATE, finished_epochs

# Names that torchtune gives: in PEFT form for others to load, and as trained, to resume from.
ADAPTER_FILE = "adapter_model.safetensors"
TRAINED_ADAPTER_FILE = "adapter_model.pt"
# What torchtune's layers are, by their names.
ROLES = {
    "q_proj": "q", "k_proj": "k", "v_proj": "v", "output_proj": "o", "w1": "gate", "w2": "down", "w3": "up", "output": OUTPUT,
}
# What the recipes put into the state of an unfinished training, besides the weights.
_STATE_KEYS = (
    training.OPT_KEY, training.SEED_KEY, training.EPOCHS_KEY, training.TOTAL_EPOCHS_KEY, training.MAX_STEPS_KEY,
    training.DATALOADER_KEY,
)


class ResumableCheckpointer(FullModelHFCheckpointer):
    """torchtune's checkpointer with seven mistakes of 0.6.1 mended.

    - The adapter of a Qwen2 model is exported as its matrices are: the stock export permutes q and k for RoPE,
      which Qwen2's weights never were.
    - A Phi-3 model's adapter is written in PEFT form, as all others are.
    - Of Gemma 2 the norm before the MLP and the one after it are exchanged, in loading and in saving.
    - Adapter and optimizer state are those of one epoch: the stock one takes the adapter of the largest epoch
      folder and the optimizer from a file written after it, so a kill in between trains an epoch twice.
    - So are whole weights, which the stock one looks for beside the epoch folders, under the base's own file names.
    - The state file is renamed into place when it is whole, and epochs older than the one it names go. The last
      epoch has no state: until it is published, the one before stays, to resume from.
    - LoRA matrices begin the same in every recipe and number of processes, and as in every other trainer: a recipe draws them
      as it builds the model, each process its share from a seed of its own, but what comes with the base weights replaces that.
    """

    def __init__(
        self, checkpoint_dir: str, checkpoint_files: list[str], model_type: str, output_dir: str,
        recipe_checkpoint: str | None = None, should_load_recipe_state: bool = False, initial_lora: dict[str, Any] | None = None,
    ) -> None:
        """Find the files.

        Args:
            initial_lora: Arguments of `draw_lora`, for LoRA matrices to be drawn here; None leaves that to the recipe.
        """
        die_with_launcher()  # here, because every process of a recipe builds a checkpointer, and before it trains
        import_own_code()
        take_own_threads()
        epoch = finished_epochs(Path(output_dir)) - 1 if should_load_recipe_state else -1
        adapter = f"epoch_{epoch}/{TRAINED_ADAPTER_FILE}" if epoch >= 0 else None
        if adapter and not (Path(output_dir) / adapter).is_file():  # a full fine-tune, which goes on from whole weights
            adapter, checkpoint_files = None, _weights_of_epoch(Path(output_dir), epoch)
        super().__init__(
            checkpoint_dir=checkpoint_dir, checkpoint_files=checkpoint_files, model_type=model_type, output_dir=output_dir,
            recipe_checkpoint=recipe_checkpoint, adapter_checkpoint=adapter, should_load_recipe_state=should_load_recipe_state,
        )
        self._of_file = read_model_config(Path(checkpoint_dir))
        self._config = for_transformers(self._of_file)  # what the stock conversions take as the file says, a null and all
        self._initial_lora = None if should_load_recipe_state else initial_lora

    def load_checkpoint(self) -> dict[str, Any]:
        """Load the base weights, and the state to resume from or the LoRA matrices to begin with."""
        check_tied(self._checkpoint_dir, self._of_file)
        state: dict[str, Any] = super().load_checkpoint()
        if self._of_file.is_tied:
            self._weight_map.pop(HEAD, None)
            state[training.MODEL_KEY].pop("output.weight", None)
        if self._model_type == ModelType.GEMMA2:
            state[training.MODEL_KEY] = exchange_norms(state[training.MODEL_KEY])
        if self._initial_lora:
            weights = state[training.MODEL_KEY]
            weights |= draw_lora(weights, **self._initial_lora)
        return state

    def save_checkpoint(
        self, state_dict: dict[str, Any], epoch: int, intermediate_checkpoint: bool = False, adapter_only: bool = False
    ) -> None:
        """Save epoch `epoch` (from 0): weights first, then, in an unfinished training, the state to resume from."""
        state = {key: state_dict[key] for key in _STATE_KEYS if key in state_dict}
        if self._model_type == ModelType.GEMMA2 and training.MODEL_KEY in state_dict:
            state_dict = {**state_dict, training.MODEL_KEY: exchange_norms(state_dict[training.MODEL_KEY])}
        super().save_checkpoint(state_dict, epoch=epoch, intermediate_checkpoint=False, adapter_only=adapter_only)
        folder = self._output_dir / f"epoch_{epoch}"
        if self._model_type == ModelType.QWEN2 and training.ADAPTER_KEY in state_dict:
            self._undo_rope_permutation(folder / ADAPTER_FILE)
        if self._model_type == ModelType.PHI3_MINI and training.ADAPTER_KEY in state_dict:
            self._save_phi3_adapter(state_dict, folder)
        follow_umask(folder)
        if intermediate_checkpoint:
            self._save_state(state)
            remove_before(self._output_dir, "epoch", epoch)

    def _save_phi3_adapter(self, state_dict: dict[str, Any], folder: Path) -> None:
        """In PEFT form, which the stock checkpointer leaves out."""
        heads, dim, wide = (self._config[name] for name in ("num_attention_heads", "hidden_size", "intermediate_size"))
        narrow = dim // heads * self._config["num_key_value_heads"]
        rows = {"attn.q_proj": dim, "attn.k_proj": narrow, "attn.v_proj": narrow, "attn.output_proj": dim}
        trained = {name: value.detach().cpu() for name, value in state_dict[training.ADAPTER_KEY].items()}
        weights = peft_weights(trained, {**rows, "mlp.w1": wide, "mlp.w3": wide, "mlp.w2": dim})
        save_file(weights, folder / ADAPTER_FILE, metadata={"format": "pt"})
        said = state_dict[training.ADAPTER_CONFIG]
        config = peft_config(weights, rank=said["r"], alpha=said["lora_alpha"])
        (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")

    def _save_state(self, state: dict[str, Any]) -> None:
        path = self._output_dir / RECIPE_STATE
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".tmp")
        with aside.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)

    def _undo_rope_permutation(self, path: Path) -> None:
        """Reorder the rows of q's and k's lora_B from the stock export's order back to the trained one."""
        heads = {"q_proj": self._config["num_attention_heads"], "k_proj": self._config["num_key_value_heads"]}
        weights = load_file(path)
        for key, matrix in weights.items():
            for name, count in heads.items():
                if name in key and "lora_B" in key:
                    weights[key] = unpermute(matrix, count)
        aside = path.with_suffix(".tmp")
        save_file(weights, aside, metadata={"format": "pt"})
        os.replace(aside, path)


def _weights_of_epoch(output_dir: Path, epoch: int) -> list[str]:
    """The files of whole weights that an epoch left, below `output_dir`."""
    return sorted(str(path.relative_to(output_dir)) for path in (output_dir / f"epoch_{epoch}").glob("*.safetensors"))


def draw_lora(
    base: dict[str, torch.Tensor], *, seed: int, rank: int, attention: list[str], mlp: bool, output: bool
) -> dict[str, torch.Tensor]:
    """Initial LoRA matrices, as every trainer begins with them (see `lora_start`).

    Args:
        base: Weights [out, in] by name; those of LoRA's layers get matrices of shape [rank, in] and [out, rank].
        attention: The layers of attention that get some, as torchtune names them.
        mlp: Whether those of the MLP get some.
        output: Whether the output layer gets some.
    """
    modules = get_lora_module_names(list(attention), mlp, output)
    drawn = {}
    for name, weight in base.items():
        layer = name.removesuffix(".weight")
        place, _, module = layer.rpartition(".")
        if layer != name and module in modules:
            number = int(place.split(".")[1]) if place else None
            rows, columns = weight.shape
            drawn[f"{layer}.lora_a.weight"] = initial_a(seed, number, ROLES[module], rank, columns)
            drawn[f"{layer}.lora_b.weight"] = torch.zeros(rows, rank)
    return drawn


def exchange_norms(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Each layer's norm before its MLP under the name of the one after it, and the reverse."""
    names = {".mlp_norm.": ".mlp_scale.", ".mlp_scale.": ".mlp_norm."}
    return {re.sub("|".join(map(re.escape, names)), lambda found: names[found[0]], key): value for key, value in weights.items()}


def unpermute(matrix: torch.Tensor, heads: int) -> torch.Tensor:
    """Undo the stock export's RoPE permutation of one lora_B.

    Args:
        matrix: Shape [heads * head_dim, rank]; per head the export wrote the even rows before the odd ones... as
            `view(heads, head_dim // 2, 2, rank).transpose(1, 2)`.
        heads: Attention heads of this projection.

    Returns:
        The same shape, rows in the trained order.
    """
    rows, rank = matrix.shape
    head_dim = rows // heads
    return matrix.view(heads, 2, head_dim // 2, rank).transpose(1, 2).reshape(rows, rank).contiguous()
