"""LoRA on GPT-2, whose matrices lie the other way round until some are taken apart."""

import warnings
from pathlib import Path

import pytest
import torch
from ftexp.models.config_json import read_model_config
from ftexp.models.loading import load_transformers_model
from ftexp.trainers.transformers.adapter import save_adapter, with_adapter
from helpers.tiny_models import make_tiny_model
from peft import PeftModel


@pytest.mark.parametrize("use_dora", [False, True])
def test_matrices_that_lie_either_way_are_adapted_and_loaded_without_a_warning(tmp_path: Path, use_dora: bool) -> None:
    make_tiny_model(tmp_path / "base", "gpt2", "chatml")
    config = read_model_config(tmp_path / "base")
    section = {"lora_modules": ["q", "k", "v", "o", "mlp"], "lora_rank": 2, "lora_alpha": 4, "lora_dropout": 0.0}
    tokens = torch.arange(9)[None]
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="fan_in_fan_out")
        base = load_transformers_model(tmp_path / "base", torch.float32)
        tuned = with_adapter(base, config, {**section, "use_dora": use_dora}, seed=1).eval()
        for name, parameter in tuned.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.1)
        save_adapter(tuned, config, tmp_path / "adapter")
        loaded = PeftModel.from_pretrained(load_transformers_model(tmp_path / "base", torch.float32), tmp_path / "adapter").eval()
        with torch.inference_mode():
            ours, theirs = tuned(input_ids=tokens).logits, loaded(input_ids=tokens).logits
            untuned = loaded.unload()(input_ids=tokens).logits
    assert torch.allclose(ours, theirs, atol=1e-5) and not torch.allclose(theirs, untuned, atol=1e-2)
