"""The chat templates of the supported model families, as published: what is trained is what evaluation asks and can get."""

import datetime
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from ftexp.checks.model_check import check_model_folder
from ftexp.checks.token_check import check_tokens
from ftexp.data.prompts import prompt_turns
from ftexp.ground.errors import UserError
from ftexp.models.chat import Chat, Message
from ftexp.trainers.prompted_rows import IGNORED_LABEL, tokenize_example
from ftexp.trainers.torchtune.components.tokenizer import ChatTokenizer
from helpers.tiny_models import DATE, enter, make_experiment
from helpers.tiny_tokenizers import TEMPLATES, TOKENIZERS, generation_config, save_tokenizer

SYSTEM = "Be brief."
OWN = ["chatml", "llama3", None]  # not of a published model
REAL = [name for name in TOKENIZERS if name not in OWN]
REFUSING = ["mistral-v0.2-first", "gemma", "gemma2"]
NO_SYSTEM = [*REFUSING, "phi3-first"]
WITH_SYSTEM = [name for name in REAL if name not in NO_SYSTEM]
CASES = [(name, None) for name in REAL] + [(name, SYSTEM) for name in WITH_SYSTEM]
WITHOUT_BOS = ["qwen2", "qwen2.5", "qwen2.5-base", "phi3", "phi3.5"]
# Texts that go wrong easily: outer blanks, line ends, other scripts, braces, a blank before a full stop.
ANSWERS = ["Yes", " blanks ", "twö\nlines", "日本", "{braces} {{ x }}", "Yes ."]
DATES = {
    "llama3.1": "Cutting Knowledge Date: December 2023\nToday Date: 03 Feb 2001",
    "llama3.2": "Cutting Knowledge Date: December 2023\nToday Date: 03 Feb 2001",
}
QWEN2_5 = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
OWN_TEXTS = {**DATES, "qwen2": "You are a helpful assistant.", "qwen2.5": QWEN2_5, "qwen2.5-base": QWEN2_5}
KEPT = {  # which texts keep their outer blanks
    "mistral-v0.2-first": {"user"}, "mistral-v0.3": {"user"}, "mistral-v0.2": {"user", "answer"},
    **{name: {"user", "answer"} for name in ("mistral-nemo", "qwen2", "qwen2.5", "qwen2.5-base")},
}
# The prompt for `say: x`, as text.
PROMPTS = {
    ("llama2", None): "<s>[INST] say: x [/INST]",
    ("llama2", SYSTEM): "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nsay: x [/INST]",
    ("mistral-v0.2-first", None): "<s>[INST] say: x [/INST]",
    ("mistral-v0.2", SYSTEM): "<s> [INST] Be brief.\n\nsay: x [/INST]",
    ("mistral-v0.3", None): "<s>[INST] say: x[/INST]",
    ("mistral-v0.3", SYSTEM): "<s>[INST] Be brief.\n\nsay: x[/INST]",
    ("mistral-nemo", SYSTEM): "<s>[INST]Be brief.\n\nsay: x[/INST]",
    ("gemma2", None): "<bos><start_of_turn>user\nsay: x<end_of_turn>\n<start_of_turn>model\n",
    ("qwen2", None): "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nsay: x<|im_end|>\n"
                     "<|im_start|>assistant\n",
    ("phi3-first", None): "<s><|user|>\nsay: x<|end|>\n<|assistant|>\n",
    ("phi3", SYSTEM): "<|system|>\nBe brief.<|end|>\n<|user|>\nsay: x<|end|>\n<|assistant|>\n",
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str | None, Path]:
    """Per tokenizer a model folder without a model."""
    root = tmp_path_factory.mktemp("tokenizers")
    for name in TOKENIZERS:
        folder = root / str(name)
        generation_config(save_tokenizer(folder, name), name).save_pretrained(folder)
    return {name: root / str(name) for name in TOKENIZERS}


def turns(text: str = "say: x", system: str | None = None) -> list[Message]:
    return prompt_turns({"system": system, "user": "{input}"}, "input", {"input": text})


def evaluation(folders: dict[str | None, Path], name: str | None, date: str = DATE) -> Chat:
    """The chat as the provider makes it."""
    return Chat(folders[name], date)


def training(folders: dict[str | None, Path], name: str | None) -> ChatTokenizer:
    """The tokenizer as torchtune makes it."""
    return ChatTokenizer(str(folders[name]), DATE)


@pytest.mark.parametrize(("name", "system"), PROMPTS)
def test_the_prompt_is_the_templates_rendering_tokenized_once(
    name: str, system: str | None, folders: dict[str | None, Path]
) -> None:
    chat = evaluation(folders, name)
    ids = chat.prompt_ids(turns(system=system))
    assert ids == chat.tokenizer(PROMPTS[name, system], add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize(("name", "system"), CASES)
def test_bos_stands_at_the_beginning_once_or_not_at_all(
    name: str, system: str | None, folders: dict[str | None, Path]
) -> None:
    chat = evaluation(folders, name)
    ids = chat.prompt_ids(turns(system=system)) + chat.answer_ids(turns(system=system), "Yes")
    bos = chat.tokenizer.bos_token_id
    if name in WITHOUT_BOS:
        assert bos not in ids
    else:
        assert ids[0] == bos
        assert ids.count(bos) == 1
    if TOKENIZERS[name].puts_bos and bos is not None:
        once_more = chat.tokenizer(chat.render(chat.prompt_ids(turns())))["input_ids"]
        assert once_more.count(bos) == 2, "this tokenizer puts no BOS by itself, so the test above proves little"


@pytest.mark.parametrize(("name", "system"), CASES)
def test_training_sees_the_prompt_of_evaluation_and_masks_exactly_that(
    name: str, system: str | None, folders: dict[str | None, Path]
) -> None:
    chat, tokenizer = evaluation(folders, name), training(folders, name)
    for answer in ANSWERS:
        prompt = chat.prompt_ids(turns(system=system))
        answer_ids = chat.answer_ids(turns(system=system), answer)
        example = tokenize_example(tokenizer, turns(system=system), answer, "completion")
        assert example == {"tokens": prompt + answer_ids, "labels": [IGNORED_LABEL] * len(prompt) + answer_ids}


@pytest.mark.parametrize(("name", "system"), CASES)
def test_the_last_trained_token_stops_generation_and_none_before_it_does(
    name: str, system: str | None, folders: dict[str | None, Path]
) -> None:
    chat = evaluation(folders, name)
    for answer in ANSWERS:
        *before, last = chat.answer_ids(turns(system=system), answer)
        assert last in chat.stop_ids
        assert not chat.stop_ids & set(before)


@pytest.mark.parametrize(("name", "system"), CASES)
def test_what_is_trained_reads_as_the_answer(name: str, system: str | None, folders: dict[str | None, Path]) -> None:
    chat = evaluation(folders, name)
    for answer in ANSWERS:
        read = chat.decode(chat.answer_ids(turns(system=system), answer))
        assert read.strip() == answer.strip()
        if "answer" in KEPT.get(name, ()):
            assert read == answer


@pytest.mark.parametrize("name", REAL)
def test_generation_stops_where_the_models_files_and_its_template_say(name: str, folders: dict[str | None, Path]) -> None:
    chat = evaluation(folders, name)
    made = TOKENIZERS[name]
    of_template = {"gemma": "<end_of_turn>", "qwen2.5-base": "<|im_end|>"}
    wanted = {*made.stops, made.eos, *([of_template[name]] if name in of_template else [])}
    assert {chat.tokenizer.convert_ids_to_tokens(token) for token in chat.stop_ids} == wanted


@pytest.mark.parametrize(
    ("name", "end"),
    [("gemma", "<end_of_turn>"), ("gemma2", "<end_of_turn>"), ("phi3", "<|end|>"), ("qwen2.5-base", "<|im_end|>"),
     ("mistral-v0.3", "</s>"), ("llama2", "</s>"), ("llama3.1", "<|eot_id|>")],
)
def test_the_end_of_the_turn_is_trained_and_nothing_that_the_template_adds_after_it(
    name: str, end: str, folders: dict[str | None, Path]
) -> None:
    chat = evaluation(folders, name)
    assert chat.tokenizer.convert_ids_to_tokens(chat.answer_ids(turns(), "Yes")[-1]) == end


@pytest.mark.parametrize("name", ["llama2", "mistral-v0.2-first", "mistral-v0.2", "phi3"])
def test_an_answer_begins_as_in_the_whole_text(name: str, folders: dict[str | None, Path]) -> None:
    """SentencePiece puts a blank before every text, so the answer's turn by itself would begin with a blank too many."""
    chat = evaluation(folders, name)
    first, *_ = chat.tokenizer.convert_ids_to_tokens(chat.answer_ids(turns(), "Yes"))
    assert first == ("Y" if name == "mistral-v0.2-first" else "▁Y")


def test_an_answer_that_would_merge_with_the_prompt_leaves_the_prompt_as_it_is(
    folders: dict[str | None, Path], tmp_path: Path
) -> None:
    """As in Qwen's vocabulary: two line ends are one token, and the prompt ends with one."""
    shutil.copytree(folders["qwen2.5"], tmp_path, dirs_exist_ok=True)
    file = tmp_path / "tokenizer.json"
    document = json.loads(file.read_text(encoding="utf-8"))
    document["model"]["vocab"]["ĊĊ"] = 300
    document["model"]["merges"] = [["Ċ", "Ċ"]]
    file.write_text(json.dumps(document), encoding="utf-8")
    chat = Chat(tmp_path, DATE)
    prompt, answer = chat.prompt_ids(turns()), chat.answer_ids(turns(), "\nYes")
    assert chat.tokenizer.convert_ids_to_tokens([prompt[-1], *answer]) == ["Ċ", "Ċ", "Y", "e", "s", "<|im_end|>"]
    assert 300 in chat.tokenizer(chat.render(prompt + answer))["input_ids"], "nothing would merge"


@pytest.mark.parametrize("name", REAL)
def test_no_prompt_depends_on_the_clock(
    name: str, folders: dict[str | None, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:
            raise AssertionError("the clock was asked")

    monkeypatch.setattr("transformers.utils.chat_template_utils.datetime", Clock)
    chat = evaluation(folders, name)
    text = chat.render(chat.prompt_ids(turns()))
    assert datetime.date.today().strftime("%d %b %Y") not in text
    assert ("Today Date: 03 Feb 2001" in text) == (name in DATES)
    other = evaluation(folders, name, "1999-12-31")
    assert (other.prompt_ids(turns()) == chat.prompt_ids(turns())) == (name not in DATES)


def test_llama_3_2s_template_by_itself_asks_the_clock(folders: dict[str | None, Path]) -> None:
    """Or the test above would prove little."""
    tokenizer = evaluation(folders, "llama3.2").tokenizer
    assert datetime.date.today().strftime("%d %b %Y") in tokenizer.apply_chat_template(turns(), tokenize=False)


@pytest.mark.parametrize("name", NO_SYSTEM)
def test_a_system_prompt_that_the_template_refuses_or_loses_is_one_message(
    name: str, folders: dict[str | None, Path]
) -> None:
    chat = evaluation(folders, name)
    what = "refuses a system turn (" if name in REFUSING else "leaves the system turn out"
    for call in (lambda: chat.prompt_ids(turns(system=SYSTEM)), lambda: chat.answer_ids(turns(system=SYSTEM), "Yes")):
        with pytest.raises(UserError) as caught:
            call()
        message = str(caught.value)
        assert message.startswith(f"experiment.yaml: prompt.system: the chat template of {folders[name]} {what}")
        assert message.endswith("Set it to null, or put the text into prompt.user.")


def test_a_system_prompt_without_a_template_is_the_same_message(folders: dict[str | None, Path]) -> None:
    with pytest.raises(UserError, match="^experiment.yaml: prompt.system: .* has no chat template.* into prompt.user"):
        evaluation(folders, None).prompt_ids(turns(system=SYSTEM))


@pytest.mark.parametrize(("template", "message"), [
    ("{{ raise_exception('no') }}", "chat_template: cannot render a user's turn and an answer: TemplateError: no"),
    ("{% if add_generation_prompt %}A{% else %}B{% endif %}{{ messages[-1]['content'] }}",
     "chat_template: renders another prompt before an answer than for generation"),
])
def test_a_template_of_which_nothing_can_be_made_is_one_message(
    template: str, message: str, folders: dict[str | None, Path], tmp_path: Path
) -> None:
    chat = evaluation(folders, "chatml")
    chat.tokenizer.chat_template = template
    chat.tokenizer.save_pretrained(tmp_path)
    with pytest.raises(UserError, match=message):
        Chat(tmp_path, DATE)


@pytest.mark.parametrize("name", [*OWN, *REAL])
def test_the_templates_own_system_text_is_found(name: str | None, folders: dict[str | None, Path]) -> None:
    own = evaluation(folders, name).own_system_text()
    assert own == {**OWN_TEXTS, "llama3": "Today Date: 03 Feb 2001"}.get(str(name))


def test_an_own_text_without_special_tokens_is_found_too(folders: dict[str | None, Path], tmp_path: Path) -> None:
    chat = evaluation(folders, "chatml")
    chat.tokenizer.chat_template = (
        "A chat.\n\n{% for m in messages %}{{ m['role'].upper() + ': ' + m['content'] + '\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'ASSISTANT: ' }}{% endif %}"
    )
    chat.tokenizer.save_pretrained(tmp_path)
    assert Chat(tmp_path, DATE).own_system_text() == "A chat."


@pytest.mark.parametrize("name", ["qwen2", "qwen2.5"])
def test_no_system_prompt_is_the_templates_own_and_an_empty_one_is_not(
    name: str, folders: dict[str | None, Path]
) -> None:
    chat, tokenizer = evaluation(folders, name), training(folders, name)
    default, none, empty = (chat.prompt_ids(turns(system=text)) for text in (OWN_TEXTS[name], None, ""))
    assert none == default
    assert empty != none
    assert chat.render(empty).startswith("<|im_start|>system\n<|im_end|>")
    for system, ids in ((None, none), ("", empty)):
        assert tokenize_example(tokenizer, turns(system=system), "Yes", "completion")["tokens"][: len(ids)] == ids


@pytest.mark.parametrize("name", [*OWN, *REAL])
def test_which_texts_lose_their_outer_blanks_is_known(name: str | None, folders: dict[str | None, Path]) -> None:
    kept = {**KEPT, "chatml": {"user", "answer"}, None: {"user", "answer"}}.get(name, set())
    assert set(evaluation(folders, name).trims()) == {"user", "answer"} - kept


@pytest.mark.parametrize(
    ("family", "name", "system"),
    [("llama3", "llama2", SYSTEM), ("llama3_1", "llama3.1", SYSTEM), ("llama3_2", "llama3.2", None), ("gemma2", "gemma2", None),
     ("mistral", "mistral-v0.2", SYSTEM), ("mistral", "mistral-v0.3", SYSTEM), ("qwen2", "qwen2.5", None),
     ("phi3", "phi3", SYSTEM)],
)
def test_validate_finds_the_tokens_of_both_engines_alike(
    family: str, name: str, system: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = make_experiment(tmp_path / "tiny", family, name, prompt={"system": system}, evaluation={"max_tokens": 64})
    enter(experiment, monkeypatch)
    chat = Chat("models/tiny", DATE)
    report = check_tokens(experiment.document(), chat)
    assert report.errors == []
    assert (SYSTEM in report.example) == (system is not None)
    assert report.example.endswith("⟧")
    own_text = "prompt.system: is null, and the chat template of tiny puts a text of its own there"
    assert any(own_text in line for line in report.warnings) == (system is None and name in OWN_TEXTS)
    loses_blanks = any("takes the blanks off the ends of its prompt" in line for line in report.warnings)
    assert loses_blanks == ("user" in chat.trims())
    assert check_model_folder(Path("models/tiny"), chat) == ([], [])


def test_validate_says_that_a_model_takes_no_system_prompt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = make_experiment(tmp_path / "tiny", "gemma2", "gemma2", prompt={"system": SYSTEM})
    enter(experiment, monkeypatch)
    with pytest.raises(UserError, match="^experiment.yaml: prompt.system: the chat template of models/tiny refuses"):
        check_tokens(experiment.document(), Chat("models/tiny", DATE))


def test_every_template_has_a_tokenizer_and_a_source() -> None:
    files = {path.stem for path in TEMPLATES.glob("*.jinja")}
    assert files == {TOKENIZERS[name].template for name in REAL}
    sources = (TEMPLATES / "README.md").read_text(encoding="utf-8")
    assert all(f"`{name}.jinja`" in sources for name in files)
