"""Tiny models that stand for real ones in a rehearsal."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from ftexp.ground.errors import UserError
from ftexp.life.tiny_copy import make_tiny_copy, tiny_shape
from ftexp.models.config_json import parse_config, read_model_config
from ftexp.models.loading import load_transformers_model
from ftexp.models.weights import read_header
from ftexp.trainers.torchtune.families import FAMILIES, dimensions, family_of
from helpers.tiny_models import make_tiny_model
from helpers.tiny_newer_models import NEWER

GQA = {"num_attention_heads": 32, "num_key_value_heads": 8, "hidden_size": 2048}
KEPT = {
    "model_type": "llama", "vocab_size": 50_000, "rope_theta": 5e5, "intermediate_size": 8192, "num_hidden_layers": 30,
    "max_position_embeddings": 4096, "rms_norm_eps": 1e-5,
}


@pytest.mark.parametrize(("real", "tiny"), [
    (GQA, {"num_key_value_heads": 2}),
    ({**GQA, "num_key_value_heads": 32}, {"num_key_value_heads": 4}),
    ({**GQA, "num_key_value_heads": 1}, {"num_key_value_heads": 1}),
    ({**GQA, "num_key_value_heads": None}, {"num_key_value_heads": 4}),
    ({**GQA, "head_dim": 64}, {"num_key_value_heads": 2, "head_dim": 64}),
    ({**GQA, "head_dim": 256}, {"num_key_value_heads": 2, "head_dim": 128}),
    ({"num_attention_heads": 32, "hidden_size": 2048}, {"num_key_value_heads": 4}),
    ({**GQA, "model_type": "qwen2", "layer_types": ["full_attention"] * 30},
     {"num_key_value_heads": 2, "layer_types": ["full_attention"] * 2}),
    ({**GQA, "model_type": "gemma"}, {"num_key_value_heads": 2, "head_dim": 128}),  # 256 where a file says nothing
    ({**GQA, "rope_theta": None, "rope_parameters": {"rope_theta": 1e6}}, {"num_key_value_heads": 2}),
])
def test_a_tiny_shape_is_of_the_real_ones_kind(real: dict[str, Any], tiny: dict[str, Any]) -> None:
    small = {"hidden_size": 256, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = parse_config({**KEPT, **real}, Path("config.json"))
    assert tiny_shape(config) == {**KEPT, **real, **small, **tiny}


FAMILIES_MADE = ("qwen2", "llama3", "llama3_1", "llama3_2", "mistral", "phi3", "gemma", "gemma2")


@pytest.mark.parametrize("family", FAMILIES_MADE)
def test_a_tiny_copy_is_of_the_same_family_with_matrices_that_can_be_quantised(family: str, tmp_path: Path) -> None:
    source, target = tmp_path / "real", tmp_path / "tiny"
    make_tiny_model(source, family, "llama3", is_sharded=True)
    for path in source.glob("*.safetensors"):
        path.unlink()
    make_tiny_copy(source, target)
    real, tiny = map(read_model_config, (source, target))
    assert family_of(tiny) == family_of(real)
    sizes = {"num_layers", "num_heads", "num_kv_heads", "embed_dim", "intermediate_dim", "head_dim"}
    before, after = (dimensions(family, shape) for shape in (real, tiny))
    assert {key: value for key, value in before.items() if key not in sizes} == {k: v for k, v in after.items() if k not in sizes}
    tensors = read_header(target / "model.safetensors")
    shapes = [entry["shape"] for name, entry in tensors.items() if ".layers." in name]
    inner = [math.prod(shape) for shape in shapes if len(shape) == 2]
    assert len(inner) >= 8 and all(count % 16384 == 0 for count in inner)
    names = {path.name for path in source.iterdir() if not path.name.endswith(".index.json")}
    assert {path.name for path in target.iterdir()} == {*names, "model.safetensors"}
    assert all((source / n).read_bytes() == (target / n).read_bytes() for n in names - {"config.json"})


@pytest.mark.parametrize("family", NEWER)
def test_a_tiny_copy_of_a_newer_kind_has_what_is_special_about_it(family: str, tmp_path: Path) -> None:
    make_tiny_model(tmp_path / "real", family, "llama3")
    make_tiny_copy(tmp_path / "real", tmp_path / "tiny")
    real, tiny = (read_model_config(tmp_path / name) for name in ("real", "tiny"))
    assert (tiny.kind, tiny.numbers, tiny.window, tiny.is_tied) == (real.kind, real.numbers, real.window, real.is_tied)
    assert (tiny.rope.theta, tiny.rope.local_theta, tiny.rope.share) == (real.rope.theta, real.rope.local_theta, real.rope.share)
    assert set(tiny.layer_types) == set(real.layer_types) and set(tiny.rope_layers) == set(real.rope_layers)
    assert (tiny.rope.scaling or {}).get("rope_type") == (real.rope.scaling or {}).get("rope_type")
    model = load_transformers_model(tmp_path / "tiny", torch.float32)
    assert model(input_ids=torch.arange(8)[None]).logits.isfinite().all()


def test_every_family_is_copied() -> None:
    assert set(FAMILIES_MADE) == set(FAMILIES)


def test_a_tiny_copy_is_the_same_at_every_call(tmp_path: Path) -> None:
    make_tiny_model(tmp_path / "real", "qwen2", "chatml")
    for name in ("one", "two"):
        make_tiny_copy(tmp_path / "real", tmp_path / name)
    assert len({(tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two")}) == 1


def test_a_model_that_cannot_be_trained_is_refused_as_stamp_refuses_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no folder"):
        make_tiny_copy(tmp_path / "nowhere", tmp_path / "tiny")
    (tmp_path / "real").mkdir()
    (tmp_path / "real/config.json").write_text(json.dumps({**KEPT, "model_type": "mixtral", **GQA}))
    with pytest.raises(UserError, match="config.json: model_type: is 'mixtral', and supported are"):
        make_tiny_copy(tmp_path / "real", tmp_path / "tiny")
    assert not (tmp_path / "tiny").exists()
