"""One model: the trainer's, the evaluation's and transformers' own give the same logits, whichever generation wrote the files."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from ftexp.ground.errors import UserError
from ftexp.models.config_json import read_model_config
from ftexp.models.library_keys import for_transformers
from ftexp.models.loading import load_transformers_model, transformers_config
from ftexp.models.tokenizer_files import load_tokenizer
from ftexp.models.weights import HEAD, check_tied
from ftexp.trainers.torchtune.config import training_config
from ftexp.trainers.torchtune.families import FAMILIES
from helpers.config_files import in_keys_of_5
from helpers.formula_weights import TEXTS, few, fill, tokens
from helpers.marks import slow_but
from helpers.runs import a_run
from omegaconf import OmegaConf
from safetensors.torch import load_file, save_file
from torchtune.config import instantiate
from transformers import AutoModelForCausalLM

SAVED_BY_5 = sorted(path.parent for path in (Path(__file__).parents[1] / "models/saved_by_5").glob("*/config.json"))
EMBEDDING = "model.embed_tokens.weight"
WITH_TOKENIZER = [path for path in SAVED_BY_5 if (path / "tokenizer.json").is_file()]
FOLDER = Path("models/any")
# Float error of fp32 on logits of about 5.
TOLERANCE = 5e-4
Content = dict[str, Any]


def of_4(content: Content) -> Content:
    """A file of transformers 5 in the keys of 4."""
    newer = ("rope_parameters", "dtype", "use_bidirectional_attention")
    said = {**{key: value for key, value in content.items() if key not in newer}, "torch_dtype": content["dtype"]}
    if "rope_parameters" not in content:
        return said
    rope = dict(content["rope_parameters"])
    if "full_attention" in rope:
        said["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        rope = dict(rope["full_attention"])
    theta = rope.pop("rope_theta")
    rope.pop("partial_rotary_factor", None)
    if rope["rope_type"] == "longrope":
        del rope["original_max_position_embeddings"]
    scaling = {"rope_scaling": rope} if rope["rope_type"] != "default" else {}
    return {**said, "rope_theta": theta, **scaling}


def untied(content: Content) -> Content:
    return {**content, "tie_word_embeddings": False}


def with_nulls(content: Content) -> Content:
    """As many key-value heads as heads, said by a null; and the heads' width left to be derived."""
    said = {key: value for key, value in content.items() if key != "head_dim"}
    return {**said, "num_key_value_heads": None, "rope_theta": None}


def with_less(content: Content) -> Content:
    """Keys left out whose default is the model's."""
    left_out = ("num_key_value_heads", "head_dim", "layer_types", "dtype")
    return {key: value for key, value in content.items() if key not in left_out}


FORMS: dict[str, Callable[[Content], Content]] = {"5": dict, "4": of_4}
CHANGED: list[tuple[str, Callable[[Content], Content]]] = [
    ("qwen2", untied), ("llama3", with_nulls), ("llama3_1", with_less), ("phi3", with_nulls), ("mistral", with_nulls),
    ("llama3_2", with_nulls), ("llama3_1", lambda content: in_keys_of_5({**of_4(content), "rope_theta": 77777.0})),
]


@pytest.fixture(autouse=True)
def _there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def make(family: str, form: Callable[[Content], Content]) -> None:
    """The model of a family in the working folder, its weights by the formula."""
    saved = next(path for path in SAVED_BY_5 if path.name == family)
    shutil.copytree(saved, FOLDER)
    content = form(json.loads((saved / "config.json").read_text(encoding="utf-8")))
    (FOLDER / "config.json").write_text(json.dumps(content), encoding="utf-8")
    model = AutoModelForCausalLM.from_config(transformers_config(read_model_config(FOLDER)))
    fill(model)
    held = {name: value.clone() for name, value in model.state_dict().items()}
    if model.config.tie_word_embeddings:
        del held[HEAD]
    save_file(held, FOLDER / "model.safetensors", metadata={"format": "pt"})


@torch.no_grad()
def trainer_logits(text: torch.Tensor) -> torch.Tensor:
    """Of the model as a full fine-tune's config builds it, its weights loaded by the config's checkpointer."""
    config = training_config(a_run("r1", steps={"train_rows": 1, "steps_per_epoch": 1}, settings={
        "model": "any", "recipe": "full_finetune_single_device", "lora_modules": [], "lora_rank": 2, "lora_alpha": 4, "lr": 1e-4,
        "epochs": 1, "batch_size": 1, "gradient_accumulation_steps": 1, "warmup_steps": 0, "max_seq_len": None, "seed": 0,
        "schedule": "cosine",
        "loss": "full", "dtype": "fp32",
    }))
    content: Any = OmegaConf.create({"output_dir": "out", **{key: config[key] for key in ("model", "checkpointer")}})
    model = instantiate(content.model)
    model.load_state_dict(instantiate(content.checkpointer).load_checkpoint()["model"])
    output = model.eval()(text)
    return torch.cat(output, dim=1) if isinstance(output, list) else output


def three_logits(text: torch.Tensor, *, is_trained: bool = True) -> dict[str, torch.Tensor]:
    """The trainer's, where it has the family; the evaluation's; transformers' own, of a file in its own generation's keys."""
    own = Path("models/own")
    shutil.copytree(FOLDER, own)
    said = for_transformers(read_model_config(FOLDER))
    (own / "config.json").write_text(json.dumps({"model_type": read_model_config(FOLDER).model_type, **said}), encoding="utf-8")
    with torch.no_grad():
        own_model = AutoModelForCausalLM.from_pretrained(own, dtype=torch.float32, attn_implementation="eager")
        theirs = own_model(input_ids=text).logits
        evaluated = load_transformers_model(FOLDER, torch.float32)(input_ids=text).logits
    trainer = {"trainer": trainer_logits(text)} if is_trained else {}
    return {**trainer, "evaluation": evaluated, "transformers": theirs}


def assert_one_model(logits: dict[str, torch.Tensor]) -> None:
    for name, found in logits.items():
        assert (found - logits["transformers"]).abs().max().item() < TOLERANCE, name


@pytest.mark.parametrize("family", slow_but([path.name for path in SAVED_BY_5], SAVED_BY_5[0].name))
@pytest.mark.parametrize("form", FORMS)
def test_the_logits_are_those_of_the_transformers_that_wrote_the_file(form: str, family: str) -> None:
    """Of transformers 5 itself: a silent default in any of the three is another number than it found."""
    make(family, FORMS[form])
    text = tokens(read_model_config(FOLDER).vocab_size)
    meant = torch.tensor(json.loads((FOLDER / "meant.json").read_text(encoding="utf-8"))["logits"])
    logits = three_logits(text, is_trained=family in FAMILIES)
    assert_one_model(logits)
    assert (torch.tensor(few(logits["evaluation"])) - meant).abs().max().item() < TOLERANCE


@pytest.mark.parametrize(("family", "form"), CHANGED)
def test_untied_null_and_absent_keys_make_one_model(family: str, form: Callable[[Content], Content]) -> None:
    make(family, form)
    assert_one_model(three_logits(tokens(read_model_config(FOLDER).vocab_size)))


@pytest.mark.parametrize("family", ["qwen2", "llama3_2", "gemma", "gemma2"])
def test_a_tied_output_layer_that_is_in_the_file_too_is_right_if_equal(family: str) -> None:
    make(family, dict)
    text = tokens(read_model_config(FOLDER).vocab_size)
    path = FOLDER / "model.safetensors"
    held = load_file(path)
    plain = trainer_logits(text)
    save_file({**held, HEAD: held[EMBEDDING].clone()}, path, metadata={"format": "pt"})
    logits = three_logits(text)
    assert_one_model(logits)
    assert torch.equal(logits["trainer"], plain)
    other = held[EMBEDDING].clone()
    other[-1, -1] += 1e-3
    save_file({**held, HEAD: other}, path, metadata={"format": "pt"})
    for load in (lambda: check_tied(FOLDER, read_model_config(FOLDER)), lambda: load_transformers_model(FOLDER, torch.float32),
                 lambda: trainer_logits(text)):
        with pytest.raises(UserError, match=f"models/any: {HEAD} differs from {EMBEDDING}, and config.json says that they"):
            load()


@pytest.mark.parametrize("folder", WITH_TOKENIZER, ids=lambda path: str(path.name))
def test_a_tokenizer_that_transformers_5_saved_gives_its_ids(folder: Path) -> None:
    tokenizer = load_tokenizer(folder)
    meant = json.loads((folder / "meant.json").read_text(encoding="utf-8"))
    assert [tokenizer(text)["input_ids"] for text in TEXTS] == meant["ids"]
    assert tokenizer.chat_template
