"""Measures 50 steps of LoRA on a model of Llama-3.2-1B's shape in bf16 by both trainers: losses, speed, memory. For a GPU.

The weights are random and the rows made up, so that nothing has to be fetched; neither speed nor memory depends on them. Writes
into the folder it is given (KEEP=<folder> keeps it, and goes on with what is there), 2.5 GB for the model; prints a row per way
and trainer as soon as it is trained.
Command: PYTHONPATH=scripts .venv/bin/python benchmarks/large_model.py [tiny] [prepare | 8x4 32x1 checkpointed]
         (tiny: a small shape, to try it on a CPU; prepare: train nothing yet; no way named: all)
"""

import json
import os
import random
import shutil
import statistics
import string
import sys
from pathlib import Path
from typing import Any

from experiments import BIN, TEMPLATE, call, experiments_folder
from two_demos import read_csv

STEPS, EFFECTIVE_BATCH = 50, 32
TRAINERS = ("torchtune", "transformers")
WAYS: dict[str, dict[str, Any]] = {
    "8x4": {"batch_size": 8, "gradient_accumulation_steps": 4},
    "32x1": {"batch_size": 32, "gradient_accumulation_steps": 1},
    "checkpointed": {"batch_size": 8, "gradient_accumulation_steps": 4, "enable_activation_checkpointing": True},
}
SHAPE = {
    "vocab_size": 128256, "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32,
    "num_key_value_heads": 8, "head_dim": 64,
}
TINY_SHAPE = {
    "vocab_size": 1000, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 16,
}
DESIGN = """
experiment: large
question: How fast is each trainer on a model of this size?
data: {{source: rows.json, split: {{train: 0.8, test: 0.2, seed: 0}}, input: input, output: output}}
factors: {{trainer: {trainers}, way: {ways}}}
constants: {{model: large, epochs: 1, lora_rank: 16, dtype: bf16}}
evaluation: {{scorer: exact, max_tokens: 64}}
"""


def main(root: Path, words: list[str]) -> None:
    """Make the experiment where there is none, train the ways that are named, one after another, and print a row of each."""
    folder = root / "large"
    if not (folder / "preflight.json").is_file():
        make_experiment(root, TINY_SHAPE if "tiny" in words else SHAPE)
    ways = [] if "prepare" in words else [way for way in WAYS if way in words] or list(WAYS)
    if ways:
        print("| way | trainer | s a step | tokens/s | trained tokens/s | GiB at most | first loss | last | apart at most |")
        print("|---|---|--:|--:|--:|--:|--:|--:|--:|", flush=True)
    for way in ways:
        first: list[float] = []
        for trainer in TRAINERS:
            [run] = [path for path in folder.glob("runs/*") if path.name.endswith(way) and trainer in path.name]
            call(folder, ["make", "submit", f"ONLY={run.name}"])
            rows = read_csv(run / "train.csv")
            losses = [float(row["loss"]) for row in rows]
            first = first or losses
            apart = max(abs(a - b) for a, b in zip(first, losses, strict=True))
            memory = max((row["peak_gb"] for row in rows), key=lambda said: float(said or 0)) or "-"
            numbers = " | ".join(speeds(folder, run.name, rows))
            print(f"| {way} | {trainer} | {numbers} | {memory} | {losses[0]:.4f} | {losses[-1]:.4f} | {apart:.4f} |", flush=True)


def make_experiment(root: Path, shape: dict[str, int]) -> None:
    """The experiment, validated, and the model beside it."""
    (root / "rows.json").write_text(json.dumps(make_rows(STEPS * EFFECTIVE_BATCH * 5 // 4)), encoding="utf-8")
    (root / "design.yaml").write_text(DESIGN.format(trainers=list(TRAINERS), ways=json.dumps(WAYS)), encoding="utf-8")
    answers = ["experiment_name=large", f"design={root / 'design.yaml'}"]
    call(root, [str(BIN / "cookiecutter"), str(TEMPLATE), "--no-input", "--default-config", "-o", str(root), *answers])
    folder = root / "large"
    (folder / "models").symlink_to("data/models")
    make_model(folder / "models" / "large", shape)
    (folder / ".venv").symlink_to(BIN.parent)
    call(folder, [str(BIN / "dvc"), "init", "--quiet", "--no-scm"])
    call(folder, ["make", "stamp", "split", "validate"])


def make_model(folder: Path, shape: dict[str, int]) -> None:
    """Random weights, with the demo's tokenizer, which has a token a byte."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    demo = TEMPLATE / "data/models/tiny-instruct"
    scaling = {
        "rope_type": "llama3", "factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
        "original_max_position_embeddings": 8192,
    }
    ends = {name: getattr(AutoConfig.from_pretrained(demo), name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    config = AutoConfig.for_model(
        "llama", **shape, **ends, max_position_embeddings=131072, rms_norm_eps=1e-5, rope_theta=500000.0,
        tie_word_embeddings=True, rope_scaling=scaling,
    )
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    torch.set_default_dtype(torch.float32)
    for path in demo.iterdir():
        if path.name not in ("config.json", "model.safetensors"):
            shutil.copy(path, folder)


def make_rows(count: int) -> list[dict[str, str]]:
    """Prompts of 35 to 318 letters, by a log-normal distribution, and answers of 10 to 60."""
    drawn = random.Random(0)
    words = ["".join(drawn.choices(string.ascii_lowercase, k=drawn.randint(2, 9))) for _ in range(3000)]

    def text(length: int) -> str:
        return " ".join(drawn.choices(words, k=length))[:length].strip()

    lengths = [int(min(318, max(35, drawn.lognormvariate(4.9, 0.55)))) for _ in range(count)]
    return [{"input": text(length), "output": text(drawn.randint(10, 60))} for length in lengths]


def speeds(folder: Path, run: str, rows: list[dict[str, str]]) -> list[str]:
    """Median over the second half of a run's steps: seconds of a step, its tokens a second, its trained tokens a second."""
    from ftexp.design.planning import planned_runs
    from ftexp.trainers.choice import trainer_of
    from ftexp.trainers.prompted_rows import rows_of_step

    os.chdir(folder)
    planned = next(each for each in planned_runs() if each.id == run)
    given = trainer_of(planned).training_rows(planned)
    sizes = {row.index: (len(row.tokens), sum(label is not None for label in row.labels)) for row in given}
    found = []
    for row in rows[len(rows) // 2 :]:
        taken = [sizes[index] for index in rows_of_step(len(sizes), planned.settings["seed"], int(row["step"]), EFFECTIVE_BATCH)]
        seconds = sum(trained for _, trained in taken) / float(row["tokens_per_s"])
        found.append((seconds, sum(tokens for tokens, _ in taken) / seconds, float(row["tokens_per_s"])))
    second, tokens, trained = (statistics.median(column) for column in zip(*found, strict=True))
    return [f"{second:.3f}", f"{tokens:,.0f}", f"{trained:,.0f}"]


if __name__ == "__main__":
    with experiments_folder(may_exist=True) as temporary:
        main(temporary, sys.argv[1:])
