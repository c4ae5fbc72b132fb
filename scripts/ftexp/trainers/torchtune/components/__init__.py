"""Components that a finetune.yaml names, which torchtune lacks or gets wrong. Their paths stand in every experiment.

Tokens and rows: `tokenizer`, `dataset`. Steps: `master_weights`, `schedule`, `effect`, `metric_logger`. Checkpoints:
`checkpointer`, `phi3_adapter`, `resume`. Models: `gemma2`, `qwen2`, `fp32_adapters`.

May import: ground, data, models, and the modules beside this folder that have no part in checking.
Must not import: the checks; anything that a bare `tune run` with PYTHONPATH=scripts would not have.
"""
