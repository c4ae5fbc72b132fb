"""Large designs as a lab would write them: planned, stamped and checked whole, and some of their runs trained to the end."""

import csv
import json
import shutil
from pathlib import Path

import pytest
import torch
from helpers.experiments import REPOSITORY, make
from helpers.nanogpt_tensors import SIZES, tensors
from helpers.tiny_models import make_tiny_model
from helpers.tiny_tokenizers import save_tokenizer
from warm.environment import warm_environment

# 3 families x 2 losses x 2 corpora x 3 sizes x 3 things to learn x 2 accumulations; one model is given a template.
DESIGN = """\
experiment: words
question: Which family learns what of words?
data: {source: data/raw/north.json, input: word, output: upper}
factors:
  family:
    qwen3: {model: qwen3}
    gemma3: {model: gemma3}
    gpt2: {model: gpt2, prompt.template: turns.jinja}
  loss: [completion, full]
  corpus: {north: {data.source: data/raw/north.json}, south: {data.source: data/raw/south.json}}
  train_size: [60, 120, 180]
  learned:
    upper: {data.output: upper, prompt.user: "upper: {word}"}
    end: {data.output: end, prompt.user: "end: {word}"}
    length: {data.output: length, prompt.user: "length: {word}"}
  gradient_accumulation_steps: [1, 2]
constants: {lora_rank: 4, lr: 0.01, epochs: 4, batch_size: 5, dtype: fp32, seed: 1}
validation: {every: 0.5, patience: 2, keep: best}
evaluation: {max_tokens: 40}
"""
TEMPLATE = (
    "{% for turn in messages %}[{{ turn.role }}] {{ turn.content }}{% if turn.role == 'assistant' %}{{ eos_token }}{% endif %}\n"
    "{% endfor %}{% if add_generation_prompt %}[assistant] {% endif %}"
)
CHOSEN = (
    "family-qwen3_completion_corpus-north_n60_learned-upper_g1", "family-qwen3_full_corpus-south_n60_learned-end_g2",
    "family-gemma3_completion_corpus-south_n60_learned-end_g1", "family-gemma3_full_corpus-north_n60_learned-length_g2",
    "family-gpt2_completion_corpus-north_n120_learned-length_g1", "family-gpt2_full_corpus-south_n60_learned-upper_g1",
)


def write_corpus(path: Path, consonants: str) -> None:
    words = [a + b + c for a in consonants for b in ("an", "ol", "is", "ur", "em") for c in ("", "d", "ing", "er", "ka", "po")]
    rows = [{"word": word, "upper": word.upper(), "end": word[-1], "length": str(len(word))} for word in words]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows), encoding="utf-8")


def make_folder(root: Path) -> None:
    """What an experiment has besides its design and its models."""
    stamped = REPOSITORY / "{{cookiecutter.experiment_name}}"
    for name in ("Makefile", "job.slurm.template", "requirements.txt", ".gitignore"):
        shutil.copy(stamped / name, root / name)
    shutil.copytree(REPOSITORY / "scripts", root / "scripts", ignore=shutil.ignore_patterns("__pycache__", ".*_cache"))
    write_corpus(root / "data/raw/north.json", "bcdfglmnprst")
    write_corpus(root / "data/raw/south.json", "hjkqwxvzyaeo")
    (root / "site.yaml").write_text("backend: local\nmodels: lab\ndevice: cpu\n", encoding="utf-8")


@pytest.fixture(scope="module")
def designed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The experiment of the large design, set up."""
    root = tmp_path_factory.mktemp("designed")
    make_folder(root)
    for family, template in (("qwen3", "chatml"), ("gemma3", "llama3"), ("gpt2", None)):
        make_tiny_model(root / "lab" / family, family, template)
    (root / "turns.jinja").write_text(TEMPLATE, encoding="utf-8")
    (root / "experiment.yaml").write_text(DESIGN, encoding="utf-8")
    make(root, "setup", f"VENV={warm_environment()}")
    return root


@pytest.mark.slow
def test_216_runs_are_ready_and_six_of_them_trained_to_the_end(designed: Path) -> None:
    said = make(designed, "split", "validate")
    assert "validate: 234 of 234 runs are ready" in said.stdout + said.stderr
    with (designed / "runs.csv").open(encoding="utf-8", newline="") as file:
        assert sum(row["kind"] == "trained" for row in csv.DictReader(file)) == 216
    make(designed, "submit", "eval", "report", "YES=1", f"ONLY={' '.join(CHOSEN)}")
    with (designed / "results.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["run"]: row for row in csv.DictReader(file) if row["train_status"] == row["eval_status"] == "done"}
    assert sorted(rows) == sorted(CHOSEN)
    for run, row in rows.items():
        with (designed / f"runs/{run}/validation.csv").open(encoding="utf-8", newline="") as file:
            looks = list(csv.DictReader(file))
        [kept] = [look for look in looks if look["kept"]]
        assert row["kept_step"] == kept["step"] and kept["loss"] == min((look["loss"] for look in looks), key=float)
        assert 0 <= float(row["score"]) <= 1


# Languages x heads: a checkpoint of nanoGPT's for each language.
HEADS = """\
experiment: languages
question: Is a label better written, or chosen by a head?
data: {source: data/raw/north.json, input: word, output: kind}
prompt: {user: "{word}: "}
factors:
  language:
    north: {model: nano-north, data.source: data/raw/north.json}
    south: {model: nano-south, data.source: data/raw/south.json}
  way: {text: {head: null}, head: {head: classification}}
  seed: [1, 2]
constants: {lora_rank: 4, lr: 0.01, epochs: 2, batch_size: 8, dtype: fp32, train_size: 64}
evaluation: {tasks: {test: {choices: [long, short]}}, scorers: [exact], metrics: [macro_f1, brier]}
"""


@pytest.mark.slow
def test_languages_and_heads_on_two_checkpoints_of_nanogpts(tmp_path: Path) -> None:
    make_folder(tmp_path)
    (tmp_path / "lab").mkdir()
    for language in ("north", "south"):
        path = tmp_path / f"data/raw/{language}.json"
        rows = [{**row, "kind": "long" if int(row["length"]) > 4 else "short"} for row in json.loads(path.read_text())]
        path.write_text(json.dumps(rows), encoding="utf-8")
    tokenizer = tmp_path / "characters"
    tokenizer.mkdir()
    words = len(save_tokenizer(tokenizer, None))
    (tmp_path / "experiment.yaml").write_text(HEADS.replace("nano-north", "none").replace("nano-south", "none"), encoding="utf-8")
    make(tmp_path, "setup", f"VENV={warm_environment()}", check=False)  # its models are imported next
    for language in ("north", "south"):
        sizes = {**SIZES, "vocab_size": words}
        held = {"model": tensors(bias=True, vocab_size=words), "model_args": {"bias": True, **sizes}}
        torch.save(held, tmp_path / f"{language}.pt")
        make(tmp_path, "import", f"CKPT={language}.pt", f"NAME=nano-{language}", f"TOKENIZER={tokenizer}")
    (tmp_path / "experiment.yaml").write_text(HEADS, encoding="utf-8")
    make(tmp_path, "all", "YES=1")
    with (tmp_path / "results.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] == "trained"]
    assert len(rows) == 2 * 2 * 2 * 3 and all(row["eval_status"] == "done" and row["score"] for row in rows)
