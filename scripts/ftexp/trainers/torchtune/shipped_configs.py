"""The configs that torchtune ships: for which recipe, for a model of which shape, and which of them comes nearest to a model.

Reads, in the installed packages and without importing them, torchtune's register of recipes, the configs, and the sources of the
builders that the configs name: each returns one call whose literal arguments are the shape. Writes nothing.
"""

import ast
import dataclasses
import functools
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ftexp.ground.errors import UserError
from ftexp.ground.nested import flat
from ftexp.trainers.recipes import is_lora
from ftexp.trainers.torchtune.families import FAMILIES

# Builders of torchtune's whose models another family's builder makes too.
_SAME_FAMILY = {"llama2": "llama3"}
# Keys that say how something is computed, fast or in little memory, and not what.
_HOW = (
    "profiler", "compile", "enable_activation_checkpointing", "low_cpu_ram", "optimizer.fused",
    "fsdp_cpu_offload", "fsdp_reshard_after_forward", "custom_sharded_layers", "tensor_parallel_dim", "tensor_parallel_plan",
)


@dataclass(frozen=True)
class ModelShape:
    """Dimensions of a model; each layer has `num_heads` * `head_dim` outputs of q, `num_kv_heads` * `head_dim` of k and v."""

    vocab_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    embed_dim: int
    intermediate_dim: int
    head_dim: int

    @classmethod
    def of(cls, arguments: dict[str, Any]) -> "ModelShape":
        """From the arguments of a builder; llama2's takes the inner width from the outer one where it is not given."""
        derived = {
            "head_dim": arguments["embed_dim"] // arguments["num_heads"],
            "intermediate_dim": -(-4 * int(2 * arguments["embed_dim"] / 3) // 256) * 256,
        }
        return cls(**{name: arguments.get(name) or derived[name] for name in cls.__dataclass_fields__})

    @property
    def parameters(self) -> int:
        """Of the layers' matrices and one embedding."""
        attention = 2 * self.head_dim * (self.num_heads + self.num_kv_heads)
        return self.vocab_size * self.embed_dim + self.num_layers * self.embed_dim * (attention + 3 * self.intermediate_dim)


@dataclass(frozen=True)
class Builder:
    """What a builder of torchtune's makes: a family's model, with LoRA matrices or without, on a quantised base or not."""

    family: str
    has_lora: bool
    is_quantized: bool
    shape: ModelShape


@dataclass(frozen=True)
class ShippedConfig:
    """One shipped config, and what its `model` builds."""

    path: Path
    builder: Builder

    @property
    def name(self) -> str:
        """As torchtune's commands call it, `<folder>/<file>`."""
        return f"{self.path.parent.name}/{self.path.stem}"


def shipped_configs_dir() -> Path:
    """The folder of the configs that torchtune ships."""
    return _package("recipes") / "configs"


def _package(name: str) -> Path:
    """The folder of an installed package, which is not imported."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise UserError("torchtune is not installed in this environment. Run `make setup`.")
    return Path(next(iter(spec.submodule_search_locations)))


@functools.cache
def nearest_configs(recipe: str, family: str, shape: ModelShape, *, is_quantized: bool = False) -> tuple[ShippedConfig, ...]:
    """The shipped configs of a recipe whose model comes nearest to a shape: one, or several for one and the same shape.

    Those of the family, for a quantised base where that is wanted and some are; where torchtune ships none (full fine-tunes of
    Gemma on one device), Llama 3's. A model of exactly this shape is nearest; otherwise the number of parameters decides.

    Returns:
        The first is the one to take where all say the same: of the newest models, which come last by name, the plainest file.
    """
    kinds: dict[tuple[str, bool], list[ShippedConfig]] = {}
    for config in catalogue(recipe):
        kinds.setdefault((config.builder.family, config.builder.is_quantized), []).append(config)
    candidates = kinds.get((family, is_quantized)) or kinds.get((family, False)) or kinds["llama3", False]
    nearest = min(candidates, key=lambda config: _distance(config.builder.shape, shape)).builder.shape
    same = [config for config in candidates if config.builder.shape == nearest]
    plainest_first = sorted(same, key=lambda config: len(config.path.stem))
    return tuple(sorted(plainest_first, key=lambda config: config.path.parent.name, reverse=True))


def _distance(one: ModelShape, other: ModelShape) -> tuple[bool, int]:
    return one != other, abs(one.parameters - other.parameters)


@functools.cache
def catalogue(recipe: str) -> tuple[ShippedConfig, ...]:
    """The configs that torchtune registers for a recipe and whose model is one of text, DoRA's left out."""
    found = []
    for file in _registered(recipe):
        path = shipped_configs_dir() / file
        model = yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))["model"]
        builder = builders().get(model["_component_"].rpartition(".")[2])
        if builder and builder.has_lora == is_lora(recipe) and not model.get("use_dora"):
            found.append(ShippedConfig(path, builder))
    return tuple(found)


def _registered(recipe: str) -> list[str]:
    """Files of a recipe's configs, by torchtune's register: calls of `Recipe(name=..., configs=[Config(file_path=...), ...])`."""
    tree = ast.parse((_package("torchtune") / "_recipe_registry.py").read_text(encoding="utf-8"))
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        arguments = {pair.arg: pair.value for pair in call.keywords}
        name, configs = arguments.get("name"), arguments.get("configs")
        if isinstance(name, ast.Constant) and name.value == recipe and isinstance(configs, ast.List):
            calls = [entry for entry in configs.elts if isinstance(entry, ast.Call)]
            return [str(_literals(entry)["file_path"]) for entry in calls]
    return []


@functools.cache
def builders() -> dict[str, Builder]:
    """torchtune's builders of text models by name, of all its models/*/_model_builders.py."""
    found: dict[str, Builder] = {}
    paths = sorted(_package("torchtune").glob("models/*/_model_builders.py"))
    for node in (node for path in paths for node in ast.parse(path.read_text(encoding="utf-8")).body):
        builder = None
        if isinstance(node, ast.FunctionDef):
            name, builder = node.name, _built_by(node)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name, builder = node.targets[0].id, _derived(node.value, found)
        if builder:
            found[name] = builder
    return found


def _built_by(function: ast.FunctionDef) -> Builder | None:
    """What `return component(num_layers=32, ...)` builds; None where the function returns something else."""
    defaults = dict(zip([a.arg for a in function.args.args][::-1], function.args.defaults[::-1], strict=False))
    for node in ast.walk(function):
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Name):
            arguments = _literals(node.value, defaults)
            name = node.value.func.id.removeprefix("lora_")
            family = _SAME_FAMILY.get(name, name)
            if family in FAMILIES:
                has_lora = name != node.value.func.id
                return Builder(family, has_lora, bool(arguments.get("quantize_base")), ModelShape.of(arguments))
    return None


def _derived(value: ast.expr, known: dict[str, Builder]) -> Builder | None:
    """What `other_name`, or `partial(other_name, quantize_base=True)`, builds."""
    if isinstance(value, ast.Name):
        return known.get(value.id)
    if isinstance(value, ast.Call) and value.args and isinstance(value.args[0], ast.Name) and value.args[0].id in known:
        return dataclasses.replace(known[value.args[0].id], is_quantized=bool(_literals(value).get("quantize_base")))
    return None


def _literals(call: ast.Call, defaults: dict[str, ast.expr] | None = None) -> dict[str, Any]:
    """The keyword arguments of a call that are literals, or parameters with a default that is one."""
    found = {}
    for pair in call.keywords:
        value = (defaults or {}).get(pair.value.id) if isinstance(pair.value, ast.Name) else pair.value
        if pair.arg and isinstance(value, ast.Constant):
            found[pair.arg] = value.value
    return found


@functools.cache
def read_as_torchtune(path: Path) -> dict[str, Any]:
    """A YAML file as torchtune reads it: by OmegaConf, for which `True` is a boolean."""
    from omegaconf import OmegaConf

    config = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    assert isinstance(config, dict)
    return {str(key): value for key, value in config.items()}


def shipped_optimizer(config: dict[str, Any]) -> dict[str, Any]:
    """The optimizer of a shipped config; torch's own in place of one that needs bitsandbytes, which is not installed."""
    optimizer = dict(config["optimizer"])
    if not optimizer["_component_"].startswith("bitsandbytes."):
        return optimizer
    return {"_component_": "torch.optim.AdamW", "fused": True, "weight_decay": 0.01}


def check_decided(configs: tuple[ShippedConfig, ...], generated: frozenset[str], overrides: frozenset[str]) -> None:
    """Several configs for one shape compute the same, but for what the experiment decides.

    Args:
        generated: Top-level keys that are written for each run, whatever a shipped config says.
        overrides: torchtune's keys that the experiment sets.

    Raises:
        UserError: If they do not.
    """
    for other in configs[1:]:
        first, second = (_taken_over(config.path, generated) for config in (configs[0], other))
        keys = [key for key in sorted({*first, *second}) if first.get(key) != second.get(key) and key not in overrides]
        if keys:
            values = ", ".join(f"{key} is {first.get(key)!r} or {second.get(key)!r}" for key in keys)
            what = f"torchtune ships {configs[0].name} and {other.name} for a model of this shape, and in them {values}"
            raise UserError(f"experiment.yaml: constants: {what}. Set {' and '.join(keys)}; null means none.")


@functools.cache
def _taken_over(path: Path, generated: frozenset[str]) -> dict[str, Any]:
    """What a training computes by a shipped config, by dotted key."""
    config = read_as_torchtune(path)
    rest = {key: value for key, value in config.items() if key not in generated}
    rest["optimizer"] = {key: value for key, value in shipped_optimizer(config).items() if key != "lr"}
    rest["model"] = {"lora_dropout": config["model"].get("lora_dropout", 0.0)}
    return {key: value for key, value in flat(rest).items() if not any(key == how or key.startswith(f"{how}.") for how in _HOW)}
