"""Mistakes in a config of torchtune's, a row for each; test_config_check makes them, and docs/mistakes.md lists them."""

from typing import Any

# What is done to a good config; the message; whether `tune validate` (torchtune 0.6.1) refuses it too.
MISTAKES: list[tuple[str, dict[str, Any], str, bool]] = [
    ("a misspelt key", {"epochs": None, "epoch": 3},
     "epoch: is not read by the recipe lora_finetune_single_device, so it would do nothing. Did you mean 'epochs'?", False),
    ("a missing key", {"batch_size": None}, "batch_size: is missing, and the recipe lora_finetune_single_device reads it", False),
    ("a missing section", {"optimizer": None}, "optimizer: is missing", False),
    ("a text for a number", {"epochs": "three"}, "epochs: must be a whole number, got 'three'", False),
    ("a number for a section", {"loss": 3}, "loss: must be a section with _component_, got 3", False),
    ("a fraction for a count", {"batch_size": 2.5}, "batch_size: must be a whole number, got 2.5", False),
    ("a count of none", {"gradient_accumulation_steps": 0}, "gradient_accumulation_steps: must be 1 or more, got 0", False),
    ("a text for a switch", {"compile": "no"}, "compile: must be true or false, got 'no'", False),
    ("a key of another recipe", {"optimizer_in_bwd": True}, "optimizer_in_bwd: is not read by the recipe", False),
    ("a component that is not there", {"model._component_": "torchtune.models.qwen2_5.lora_qwen2_5_05b"},
     "model._component_: torchtune.models.qwen2_5 has nothing of that name. Did you mean 'lora_qwen2_5_0_5b'?", True),
    ("a module that is not there", {"model._component_": "torchtune.models.qwen25.lora_qwen2_5_0_5b"},
     "model._component_: there is no module torchtune.models.qwen25", True),
    ("a private dotpath", {"model._component_": "torchtune.models.qwen2_5._model_builders.lora_qwen2_5_0_5b"},
     "model._component_: must be a public name", False),
    ("an unknown argument", {"model.lora_rnk": 8},
     "model.lora_rnk: is no argument of lora_qwen2_5_0_5b. Did you mean 'lora_rank'?", True),
    ("a missing argument", {"model.lora_attn_modules": None},
     "model.lora_attn_modules: is missing, and lora_qwen2_5_0_5b needs it", False),
    ("an argument of the wrong type", {"model.lora_rank": "8"}, "model.lora_rank: must be a whole number, got '8'", False),
    ("an alpha that is a list", {"model.lora_alpha": [16]}, "model.lora_alpha: must be a number, got [16]", False),
    ("a LoRA module by a wrong name", {"model.lora_attn_modules": ["q_proj", "o_proj"]},
     "model.lora_attn_modules: must be a list of one of q_proj, k_proj, v_proj, output_proj, got ['q_proj', 'o_proj']", False),
    ("a misspelt word behind **kwargs", {"dataset.spli": "train"}, "dataset.spli: is no argument of alpaca_cleaned_dataset. "
     "Did you mean 'split'?", False),
    ("what the recipe passes itself", {"lr_scheduler.num_training_steps": 10},
     "lr_scheduler.num_training_steps: the recipe passes it itself. Remove it", False),
    ("a model type of another family", {"checkpointer.model_type": "LLAMA3"},
     "checkpointer.model_type: must be QWEN2 for a model of torchtune.models.qwen2_5, got 'LLAMA3'", False),
    ("a tokenizer of another family", {"tokenizer": {"_component_": "torchtune.models.llama3.llama3_tokenizer", "path": "x"}},
     "tokenizer._component_: must be of torchtune.models.qwen2_5 for this model, got llama3", False),
    ("a nested component's argument",
     {"dataset.column_map": {"_component_": "torchtune.data.InputOutputToMessages", "train_input": 1}},
     "dataset.column_map.train_input: is no argument of InputOutputToMessages. Did you mean 'train_on_input'?", False),
]
