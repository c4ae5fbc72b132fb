"""A simulated survey of three factors, one cell of which failed: answers from a logit model, real logs, one report."""

import json
from pathlib import Path

import numpy as np
import pytest
from ftexp.design.planning import read_run
from ftexp.state.work import Work

from helpers.fake_results import finish_eval, finish_training, ids, make_report, plan, record_job

ITEMS, PASSAGES = 240, 40
EXPERIMENT = """
experiment: survey
question: What matters?
data: {source: data/raw/rows.jsonl, split: {train: 0.1, test: 0.9, seed: 0, group: passage}}
factors:
  lr: [1.0e-4, 3.0e-4, 1.0e-3, 3.0e-3]
  lora_rank: [2, 16]
  loss: [completion, full]
  seed: [1, 2, 3]
baseline: {lr: 3.0e-4}
constants: {model: tiny, epochs: 1, batch_size: 2, dtype: fp32}
evaluation: {max_tokens: 8, cluster: passage, groups: [language], metrics: [macro_f1]}
"""
EMPTY_CELL = "lr3e-3_r16_full"
STRENGTH = {1e-4: -1.0, 3e-4: 0.0, 1e-3: 1.0, 3e-3: 2.0}  # logits; rank adds 0.5; the loss does nothing


def make_survey(root: Path, text: str = EXPERIMENT) -> None:
    """48 runs in 16 cells, or those of another design of the same factors, one cell without a finished run; reported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.delenv("DVC_ROOT", raising=False)
        rows = [
            {"input": f"q{i}", "output": ("no", "yes")[i % 2], "passage": f"p{i % PASSAGES}", "language": ("de", "en")[i % 3 % 2]}
            for i in range(ITEMS)
        ]
        Path("data/raw").mkdir(parents=True)
        Path("data/raw/rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
        Path("models/tiny").mkdir(parents=True)
        Path("models/tiny/config.json").write_text("{}")
        Path("models/tiny/model.safetensors").write_bytes(b"weights")
        plan(text)
        simulate()
        make_report()


def simulate() -> None:
    """Every run but those of one cell, whose trainings failed."""
    rng = np.random.default_rng(0)
    difficulty = rng.normal(size=ITEMS)
    for run_id in ids():
        run = read_run(run_id)
        levels = run.levels
        if run_id.startswith(EMPTY_CELL):
            record_job(run_id, "train", "failed", "out of memory", Work().inputs(run, "train"))
            continue
        logit = -2.0
        if levels:
            finish_training(run_id)
            logit = STRENGTH[levels["lr"]] - 0.5 + 0.5 * (levels["lora_rank"] == 16) + rng.normal(scale=0.15)
        is_right = rng.random(ITEMS) < 1 / (1 + np.exp(difficulty - logit))
        finish_eval(run_id, lambda i, right=is_right: bool(right[i]), has_samples=False)  # type: ignore[misc]
