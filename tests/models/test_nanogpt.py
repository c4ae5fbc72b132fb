"""A checkpoint of nanoGPT's becomes a base model: with its logits, or with one message and nothing written."""

import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import import_checkpoint as import_stage
import pytest
import stamp as stamp_stage
import torch
from conftest import REPOSITORY
from ftexp.checks.preflight import check_runs
from ftexp.checks.verdicts import Verdicts
from ftexp.design.planning import planned_runs
from ftexp.ground import paths
from ftexp.ground.errors import UserError
from ftexp.models.chat import Chat
from ftexp.models.config_json import read_model_config
from ftexp.models.loading import load_transformers_model
from ftexp.models.nanogpt import import_checkpoint
from ftexp.trainers.choice import name_of_trainer
from helpers.changes import experiment as change_experiment
from helpers.nanogpt_tensors import SIZES, tensors
from helpers.tiny_models import DATE, enter, make_experiment
from helpers.tiny_tokenizers import save_tokenizer
from torch.nn import functional

Held = dict[str, Any]


def logits(held: dict[str, torch.Tensor], tokens: torch.Tensor) -> torch.Tensor:
    """A forward pass [rows, length, vocabulary] by the architecture as published (Radford et al. 2019), in double precision.

    Pre-norm blocks of causal self-attention and a GELU of four times the width, learned positions, a last norm, and the embedding
    as output layer; q, k and v are rows of one matrix.
    """
    x = {name: value.double() for name, value in held.items()}

    def norm(values: torch.Tensor, name: str) -> torch.Tensor:
        centred = values - values.mean(-1, keepdim=True)
        scaled = centred / (centred.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt()
        return scaled * x[f"{name}.weight"] + x.get(f"{name}.bias", torch.zeros(1))

    def linear(values: torch.Tensor, name: str) -> torch.Tensor:
        return values @ x[f"{name}.weight"].T + x.get(f"{name}.bias", torch.zeros(1))

    rows, length = tokens.shape
    stream = x["transformer.wte.weight"][tokens] + x["transformer.wpe.weight"][:length]
    future = torch.ones(length, length).triu(1).bool()
    for number in range(SIZES["n_layer"]):
        block = f"transformer.h.{number}."
        qkv = linear(norm(stream, block + "ln_1"), block + "attn.c_attn").split(stream.shape[-1], dim=-1)
        q, k, v = (part.view(rows, length, SIZES["n_head"], -1).transpose(1, 2) for part in qkv)
        scores = (q @ k.transpose(-1, -2) / k.shape[-1] ** 0.5).masked_fill(future, -torch.inf)
        seen = (scores.softmax(-1) @ v).transpose(1, 2).reshape(rows, length, -1)
        stream = stream + linear(seen, block + "attn.c_proj")
        inner = functional.gelu(linear(norm(stream, block + "ln_2"), block + "mlp.c_fc"))
        stream = stream + linear(inner, block + "mlp.c_proj")
    return norm(stream, "transformer.ln_f") @ x["lm_head.weight"].T


def checkpoint(held: Held, arguments: Held | None = None, **more: Any) -> Path:
    """As nanoGPT writes it, the optimizer's state and all."""
    sizes = {"bias": True, **SIZES, **(arguments or {})}
    also = {"iter_num": 5, "best_val_loss": torch.ones(()), "config": {"out_dir": "out", "lr": 1e-3, "compile": True}, **more}
    torch.save({"model": held, "model_args": sizes, **also}, "ckpt.pt")
    return Path("ckpt.pt")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working folder, with a tokenizer of 258 tokens in it."""
    monkeypatch.chdir(tmp_path)
    save_tokenizer(Path("tokenizer"), None)


def with_masks(held: Held) -> Held:
    return {**held, **{f"transformer.h.{number}.attn.bias": torch.ones(1, 1, 48, 48).tril() for number in range(3)}}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("change", [
    dict, lambda held: {f"_orig_mod.{name}": value for name, value in held.items()}, with_masks,
    lambda held: {name: value for name, value in held.items() if name != "lm_head.weight"},
], ids=["as it is", "compiled", "with masks", "without the tied layer"])
def test_the_imported_model_has_the_logits_of_nanogpt(bias: bool, change: Callable[[Held], Held]) -> None:
    held = tensors(bias=bias)
    made = import_checkpoint(checkpoint(change(held), {"bias": bias}), Path("tokenizer"), Path("models/mine"))
    model = load_transformers_model(Path("models/mine"), torch.float32).eval()
    tokens = torch.arange(2 * 48).view(2, 48) * 7 % 258
    with torch.no_grad():
        found = model(input_ids=tokens).logits
    wanted = logits(held, tokens)
    assert (found - wanted).abs().max() < 1e-5 * max(1, wanted.abs().max())
    assert not read_model_config(Path("models/mine")).untested
    assert ("biases" in made.in_words()) == (not bias) and "padding" not in made.in_words()
    assert sorted(path.name for path in Path("models").iterdir()) == ["mine"]


def test_a_padded_vocabulary_stays_and_is_said() -> None:
    held = tensors(bias=True, vocab_size=320)
    made = import_checkpoint(checkpoint(held, {"vocab_size": 320}), Path("tokenizer"), Path("models/org/mine"))
    assert "its vocabulary has 320 rows for 258 tokens: 62 are padding, which stays" in made.in_words()
    assert read_model_config(Path("models/org/mine")).vocab_size == 320


def without(name: str) -> Callable[[], Path]:
    return lambda: checkpoint({key: value for key, value in tensors(bias=True).items() if key != name})


def changed(**more: torch.Tensor) -> Callable[[], Path]:
    return lambda: checkpoint({**tensors(bias=True), **{name.replace("__", "."): value for name, value in more.items()}})


def cut_short() -> Path:
    path = checkpoint(tensors(bias=True))
    path.write_bytes(path.read_bytes()[:5000])
    return path


def written(content: bytes) -> Callable[[], Path]:
    return lambda: (Path("ckpt.pt").write_bytes(content), Path("ckpt.pt"))[1]


class Program:
    """What would run when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("it ran",)


NOT_ITS = "It is not nanoGPT's model, or was changed."
MISTAKES: dict[str, tuple[Callable[[], Path], str]] = {
    "no file": (lambda: Path("gone.pt"), "CKPT: there is no file gone.pt. Give the ckpt.pt that nanoGPT wrote."),
    "no checkpoint": (written(b"hello"), "ckpt.pt: is no file of torch.save's, or cut short. Copy it again, whole."),
    "a bare pickle": (written(pickle.dumps({"model": 1})), "ckpt.pt: is no file of torch.save's, or cut short. Copy"),
    "cut short": (cut_short, "ckpt.pt: is no file of torch.save's, or cut short. Copy it again, whole."),
    "a program in it": (
        lambda: checkpoint(tensors(bias=True), more=Program()),
        "ckpt.pt: holds print, and loading more than tensors and plain values could run a program. Save model and",
    ),
    "another dictionary": (
        lambda: (torch.save({"state_dict": {}}, "ckpt.pt"), Path("ckpt.pt"))[1],
        "ckpt.pt: has no model and model_args, as nanoGPT's checkpoints have. Give its ckpt.pt.",
    ),
    "no sizes": (
        lambda: checkpoint(tensors(bias=True), {"n_layer": None, "n_head": 0}),
        "ckpt.pt: model_args: must have whole numbers above 0 (n_layer is None, n_head is 0). Give a checkpoint of nanoGPT's.",
    ),
    "heads that do not fit": (
        lambda: checkpoint(tensors(bias=True), {"n_head": 5}),
        "ckpt.pt: model_args: n_embd: must be a multiple of n_head = 5, got 32",
    ),
    "a missing tensor": (
        without("transformer.h.1.mlp.c_fc.weight"), f"ckpt.pt: model: has no tensor transformer.h.1.mlp.c_fc.weight. {NOT_ITS}",
    ),
    "missing layers": (
        lambda: checkpoint(tensors(bias=True), {"n_layer": 4}),
        f"ckpt.pt: model: has no tensor transformer.h.3.attn.c_attn.weight and 11 more. {NOT_ITS}",
    ),
    "more layers": (
        lambda: checkpoint(tensors(bias=True), {"n_layer": 2}),
        f"ckpt.pt: model: has transformer.h.2.ln_1.weight and 11 more, which nanoGPT's model has not. {NOT_ITS}",
    ),
    "another architecture": (
        changed(transformer__rotary=torch.ones(2)),
        f"ckpt.pt: model: has transformer.rotary, which nanoGPT's model has not. {NOT_ITS}",
    ),
    "another shape": (
        changed(transformer__wpe__weight=torch.ones(32, 32)),
        f"ckpt.pt: model: transformer.wpe.weight: must be [48, 32] by model_args, got [32, 32]. {NOT_ITS}",
    ),
    "a layer of its own": (
        changed(lm_head__weight=torch.ones(258, 32)),
        f"ckpt.pt: model: lm_head.weight is not transformer.wte.weight, which nanoGPT's model ties. {NOT_ITS}",
    ),
    "a tokenizer with more tokens": (
        lambda: checkpoint(tensors(bias=True, vocab_size=200), {"vocab_size": 200}),
        "TOKENIZER: tokenizer has tokens up to number 257, and the model 200 rows for them. Give the tokenizer that",
    ),
    "no tokenizer": (
        lambda: ([path.unlink() for path in Path("tokenizer").iterdir()], checkpoint(tensors(bias=True)))[1],
        "TOKENIZER: tokenizer: has no tokenizer (tokenizer.json, tokenizer.model, vocab.json). Copy the model again, whole.",
    ),
    "a tokenizer without an end": (
        lambda: (save_without_end(), checkpoint(tensors(bias=True)))[1],
        "TOKENIZER: tokenizer names no end token (eos_token), so that no answer would end. Set it in tokenizer_config.json.",
    ),
    "an argument of a fork": (
        lambda: checkpoint(tensors(bias=True), {"n_kv_head": 2}),
        "ckpt.pt: model_args: has n_kv_head, which nanoGPT's model has not",
    ),
    "no numbers": (
        changed(transformer__ln_f__weight=torch.full((32,), torch.nan)),
        "ckpt.pt: model: transformer.ln_f.weight holds what is no number (nan or inf)",
    ),
    "a folder": (lambda: Path("tokenizer"), "CKPT: tokenizer is a folder. Give the ckpt.pt in it"),
}


def save_without_end() -> None:
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        path = Path("tokenizer") / name
        path.write_text(json.dumps({key: value for key, value in json.loads(path.read_text()).items() if key != "eos_token"}))


@pytest.mark.parametrize(("make", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_what_is_no_checkpoint_of_nanogpts_is_one_message_and_nothing_is_written(
    make: Callable[[], Path], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = make()
    with pytest.raises(UserError) as refused:
        import_checkpoint(file, Path("tokenizer"), Path("models/mine"))
    assert str(refused.value).startswith(message) and len(str(refused.value).splitlines()) == 1
    assert "it ran" not in capsys.readouterr().out and not [path for path in Path().rglob("*") if "mine" in path.name]


def test_a_folder_that_is_there_is_left_as_it_is() -> None:
    Path("models/mine").mkdir(parents=True)
    with pytest.raises(UserError, match=r"^NAME: models/mine is there already\. Choose another name, or move it away\.$"):
        import_checkpoint(checkpoint(tensors(bias=True)), Path("tokenizer"), Path("models/mine"))
    assert not list(Path("models/mine").iterdir())


def test_the_imported_model_is_the_base_of_an_experiment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = checkpoint(tensors(bias=False), {"bias": False}).absolute()
    enter(make_experiment(tmp_path / "tiny", "llama3", None, evaluation={"max_tokens": 24}), monkeypatch)
    for name in ("CKPT", "NAME", "TOKENIZER"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError) as refused:
        import_stage.main([])
    assert [line.partition(":")[0] for line in str(refused.value).splitlines()] == ["make import"] * 3
    assert "TOKENIZER: is not given. Name the folder of the tokenizer" in str(refused.value) and "meta.pkl" in str(refused.value)
    for name, value in {"CKPT": str(file), "NAME": "mine", "TOKENIZER": str(tmp_path / "tokenizer")}.items():
        monkeypatch.setenv(name, value)
    assert import_stage.main([]) == 0
    assert "models/mine is a model like any other: model: mine in experiment.yaml" in capsys.readouterr().out
    change_experiment(constants={"model": "mine"})()
    assert stamp_stage.main([]) == 0
    runs = planned_runs()
    assert {name_of_trainer(run) for run in runs} == {"transformers"}
    verdicts = Verdicts.of(run.id for run in runs)
    check_runs(runs, verdicts)
    assert not any(verdicts.errors.values())


def test_the_pages_way_to_a_tokenizer_of_characters_makes_one() -> None:
    text = "Two roads, and a line.\nOr a part."
    characters = sorted(set(text))
    Path("meta.pkl").write_bytes(pickle.dumps({"stoi": {letter: number for number, letter in enumerate(characters)}}))
    page = (REPOSITORY / "docs" / "nanogpt.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    exec(code, {})
    size = len(characters)
    held = tensors(bias=True, vocab_size=size)
    made = import_checkpoint(checkpoint(held, {"vocab_size": size}), Path("characters"), paths.model_dir("mine"))
    chat = Chat(paths.model_dir("mine"), DATE)
    assert (made.tokens, made.vocabulary) == (size, size)
    asked = [{"role": "user", "content": "Two, a"}]
    answer = chat.answer_ids(asked, "a part")
    assert chat.prompt_ids(asked) == [characters.index(letter) for letter in "Two, a"]
    assert answer == [characters.index(letter) for letter in "a part\n"] and answer[-1] in chat.stop_ids
    assert chat.decode(answer) == "a part"
