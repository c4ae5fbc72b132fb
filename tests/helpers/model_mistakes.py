"""A mistake that people make, and those that they make with the files of a model."""

import json
from dataclasses import dataclass
from pathlib import Path

from helpers.changes import MODEL, Change, both, constants, edit_json, tensors


@dataclass(frozen=True)
class Mistake:
    """One mistake.

    Attributes:
        group: schema, data, model, prompt, design or site.
        change: What is done to the good experiment in the working folder.
        message: How a line of what is said begins, runs aside.
        is_warning: Whether it is said, and does not stop a run.
    """

    group: str
    name: str
    change: Change
    message: str
    is_warning: bool = False


def hide_in_the_hubs_cache() -> None:
    snapshot = MODEL / "snapshots" / ("0" * 40)
    MODEL.rename("held")
    snapshot.parent.mkdir(parents=True)
    Path("held").rename(snapshot)


MODEL_MISTAKES = [
    Mistake("model", "a key of config.json that is not known", lambda: edit_json("config.json", residual_multiplier=0.5),
            "models/tiny/config.json: residual_multiplier: is not known here, so that it may shape the model unread, got 0.5."),
    Mistake("model", "a model that nobody has tested, let through",
            both(lambda: edit_json("config.json", residual_multiplier=0.5), constants(allow_untested_model=True)),
            "experiment.yaml: allow_untested_model: nobody has tested this: models/tiny/config.json: residual_multiplier: is not",
            is_warning=True),
    Mistake("model", "RoPE in the keys of both generations, and not the same",
            lambda: edit_json("config.json", rope_parameters={"rope_theta": 1e6, "rope_type": "default"}),
            "models/tiny/config.json: rope_parameters.rope_theta: the keys of transformers 4 and 5 differ: "),
    Mistake("model", "a null that nothing gives a meaning", lambda: edit_json("config.json", rope_theta=None),
            "models/tiny/config.json: rope_theta: must be a number above 0, got null. Write the model's own;"),
    Mistake("model", "an adapter left beside the weights", lambda: (MODEL / "adapter_config.json").write_text("{}") and None,
            "models/tiny/adapter_config.json: is an adapter beside the weights: transformers loads both"),
    Mistake("model", "weights twice", lambda: (MODEL / "model.safetensors.index.json").write_text(
                json.dumps({"weight_map": {"a": "model-00001-of-00002.safetensors"}})) and None,
            "models/tiny/model.safetensors.index.json: names model-00001-of-00002.safetensors, ... and model.safetensors is"),
    Mistake("model", "weights in another form only",
            lambda: (MODEL / "model.safetensors").rename(MODEL / "pytorch_model.bin") and None,
            "models/tiny: has neither model.safetensors nor model.safetensors.index.json, and pytorch_model.bin in another form"),
    Mistake("model", "a checkpoint that is quantised already",
            lambda: edit_json("config.json", quantization_config={"quant_method": "awq", "bits": 4}),
            "models/tiny/config.json: quantization_config: says that the weights are quantised already (quant_method awq, bits"),
    Mistake("model", "tensors that are quantised, and nothing says so", tensors(lambda held: held.update(
                {"model.layers.0.mlp.up_proj.weight": held["model.layers.0.mlp.up_proj.weight"].char()})),
            "models/tiny/model.safetensors: model.layers.0.mlp.up_proj.weight: is in I8: the weights are quantised already"),
    Mistake("model", "an output layer that is tied and another", tensors(lambda held: held.update(
                {"lm_head.weight": held["model.embed_tokens.weight"] + 1})),
            "models/tiny: lm_head.weight differs from model.embed_tokens.weight, and config.json says that they are one"),
    Mistake("model", "an output layer that is in no file", lambda: edit_json("config.json", tie_word_embeddings=False),
            "models/tiny: parameters of the model without a tensor: 1 (output.weight). lm_head.weight is in no file: if it is"),
    Mistake("model", "a tensor of another kind of model", tensors(lambda held: held.update(
                {"score.weight": held["model.norm.weight"] + 0})),
            "models/tiny: holds a tensor that a Qwen2 does not have: score.weight. Check that config.json and weights are of"),
    Mistake("model", "a tokenizer of code of its own",
            lambda: edit_json("tokenizer_config.json", tokenizer_class="MyTokenizer", auto_map={"AutoTokenizer": ["t.My", None]}),
            "models/tiny: has no tokenizer that can be read here ("),
    Mistake("model", "special tokens under two names, and not the same",
            lambda: edit_json("tokenizer_config.json", extra_special_tokens=["<a>"], additional_special_tokens=["<b>"]),
            "models/tiny/tokenizer_config.json: extra_special_tokens: transformers 5's name of additional_special_tokens, and"),
    Mistake("model", "a repository of the hub's cache in place of a model", hide_in_the_hubs_cache,
            "experiment.yaml: model: models/tiny is a repository in the hub's cache, which keeps the model in models/tiny/"),
]
