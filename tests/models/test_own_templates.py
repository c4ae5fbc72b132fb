"""A chat template of one's own: a file of the experiment, taken by training and evaluation alike, also by one level only."""

import re
from pathlib import Path
from typing import Any

import pytest
from ftexp.checks.model_check import check_model_folder
from ftexp.checks.preflight import check_runs
from ftexp.checks.read_back import check_read_back
from ftexp.checks.verdicts import Verdicts
from ftexp.data.rows import read_items
from ftexp.design.controls import controls_of
from ftexp.design.planning import planned_runs, read_run
from ftexp.design.settings import TRAINERS
from ftexp.design.spec import read_experiment
from ftexp.evaluation.eval_file import eval_text
from ftexp.evaluation.provider import tuned_model
from ftexp.ground import paths
from ftexp.ground.errors import UserError
from ftexp.ground.yamlfile import load_yaml
from ftexp.models.chat import Chat
from ftexp.trainers.choice import trainer_of
from helpers.changes import experiment as change_experiment
from helpers.tiny_models import DATE, TinyExperiment, enter, make_experiment
from helpers.tiny_tokenizers import save_tokenizer

TURNS = (
    "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}END\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}\n"
)
WITHOUT_SYSTEM = (
    "{% for m in messages if m['role'] != 'system' %}{{ m['content'] }}"
    "{{ ' ' if not loop.last or add_generation_prompt }}{% endfor %}"
)
ASKED = [{"role": "user", "content": "say: x"}]
PROMPT = "user: say: x\nassistant: "


def written(text: str, end: str) -> str:
    Path("own.jinja").write_text(text.replace("END", end), encoding="utf-8")
    return "own.jinja"


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tokenizer of a model that has no template; the working folder is beside it."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "base"
    save_tokenizer(folder, None)
    return folder


@pytest.mark.parametrize("end", ["", "<stop>", " "])
def test_a_base_model_gets_turns_and_its_answers_end_with_the_tokenizers_end_token(base: Path, end: str) -> None:
    plain, chat = Chat(base, DATE), Chat(base, DATE, written(TURNS, end))
    assert not plain.has_template and chat.has_template
    prompt, answer = chat.prompt_ids(ASKED), chat.answer_ids(ASKED, "Yes")
    assert chat.render(prompt) == PROMPT.replace("x\n", f"x{end}\n")
    assert chat.render(answer) == "Yes<|end_of_text|>" and answer[-1] in chat.stop_ids == plain.stop_ids
    assert chat.example_ids([(ASKED, "Yes")]) == [(prompt, answer)]
    assert chat.unended == f"{end}\n"
    conversation = [*ASKED, {"role": "assistant", "content": "Yes"}, {"role": "user", "content": "And?"}]
    assert chat.render(chat.prompt_ids(conversation)) == f"user: say: x{end}\nassistant: Yes{end}\nuser: And?{end}\nassistant: "


@pytest.mark.parametrize(("end", "said"), [
    ("", False), ("<|end_of_text|>", False),
    ("<stop>", True),
])
def test_that_an_end_stops_nothing_is_said(base: Path, end: str, said: bool) -> None:
    make_config(base)
    _, warnings = check_model_folder(base, Chat(base, DATE, written(TURNS, end)))
    what = "own.jinja: ends an answer with '<stop>', in which no token stops generation; <|end_of_text|> stands in its place"
    assert any(line.startswith(what) for line in warnings) == said


def make_config(folder: Path) -> None:
    from transformers import LlamaConfig

    size = len(Chat(folder, DATE).tokenizer)
    LlamaConfig(vocab_size=size, hidden_size=8, num_attention_heads=2, num_hidden_layers=1).save_pretrained(folder)


def test_a_special_token_of_the_tokenizer_ends_the_answer_though_the_models_files_do_not_name_it(base: Path) -> None:
    save_tokenizer(base, "chatml")
    chat = Chat(base, DATE, written(TURNS, "<|endoftext|>"))
    assert chat.render(chat.answer_ids(ASKED, "Yes")) == "Yes<|endoftext|>" and not chat.unended
    assert {chat.tokenizer.convert_ids_to_tokens(number) for number in chat.stop_ids} == {"<|endoftext|>", "<|im_end|>"}


@pytest.mark.parametrize(("content", "message"), [
    (None, "experiment.yaml: prompt.template: there is no file own.jinja. Put it there, or correct the name."),
    (b"", "own.jinja: is empty, so that every prompt would be. Write the template, or leave prompt.template out."),
    (b"\xff", "own.jinja: is no text in UTF-8. Save it as one."),
    (b"{% if %}", r"own.jinja: cannot render a user's turn and an answer: TemplateSyntaxError: .* Correct it\."),
    (b"{{ raise_exception('no') }}", "own.jinja: cannot render a user's turn and an answer: TemplateError: no. Correct it."),
    (b"hello", "own.jinja: leaves the user's turn out. Correct it."),
    (b"{{ messages[0]['content'] }}", "own.jinja: leaves the answer out. Correct it."),
    (b"{% if add_generation_prompt %}A{% else %}B{% endif %}{{ messages[-1]['content'] }}",
     "own.jinja: renders another prompt before an answer than for generation"),
])
def test_a_file_of_which_nothing_can_be_made_is_one_message(base: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        Path("own.jinja").write_bytes(content)
    with pytest.raises(UserError, match=f"^{message}") as refused:
        Chat(base, DATE, "own.jinja")
    assert len(str(refused.value).splitlines()) == 1


def test_a_system_turn_that_it_has_no_place_for_is_its_own(base: Path) -> None:
    chat = Chat(base, DATE, written(WITHOUT_SYSTEM, ""))
    with pytest.raises(UserError, match=r"prompt\.system: the chat template own\.jinja leaves the system turn out"):
        chat.prompt_ids([{"role": "system", "content": "Be brief."}, *ASKED])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> TinyExperiment:
    """Runs of a model without a template, one with one's own, by each trainer."""
    root = tmp_path_factory.mktemp("own") / "tiny"
    root.mkdir()
    (root / "own.jinja").write_text(TURNS.replace("END", "<stop>"), encoding="utf-8")
    levels = {"own": {"prompt.template": "own.jinja"}, "plain": {"prompt.template": None, "prompt.user": "{input}: "}}
    return make_experiment(root, "llama3", None, factors={"chat": levels, "trainer": [*TRAINERS]}, evaluation={"max_tokens": 24})


@pytest.fixture
def experiment(made: TinyExperiment, monkeypatch: pytest.MonkeyPatch) -> TinyExperiment:
    return enter(made, monkeypatch)


@pytest.mark.usefixtures("experiment")
@pytest.mark.parametrize("trainer", TRAINERS)
def test_a_level_alone_has_it_in_its_config_its_questions_its_control_and_its_pipeline(trainer: str) -> None:
    own, plain = (read_run(f"chat-{level}_{trainer}") for level in ("own", "plain"))
    configs = {run.id: load_yaml(paths.RunPaths(run.id).finetune_yaml) for run in (own, plain)}
    assert [configs[run.id]["tokenizer"].get("template") for run in (own, plain)] == ["own.jinja", None]
    assert [check_read_back(run, configs[run.id]) for run in (own, plain)] == [[], []]
    assert "template='own.jinja'," in eval_text(own) and "template" not in eval_text(plain)
    control = controls_of(planned_runs())
    assert (control[own.id], control[plain.id]) == ("base_chat-own", "base_chat-plain")
    assert "template='own.jinja'," in paths.RunPaths("base_chat-own").eval_py.read_text(encoding="utf-8")
    stages = [load_yaml(paths.RunPaths(run.id).dvc_yaml)["stages"] for run in (own, plain)]
    assert [["own.jinja" in stage["deps"] for stage in of_run.values()] for of_run in stages] == [[True, True], [False, False]]
    assert read_experiment(paths.EXPERIMENT_YAML).own_files == ["own.jinja"]


@pytest.mark.usefixtures("experiment")
@pytest.mark.parametrize("trainer", TRAINERS)
def test_evaluation_shows_the_tokens_of_training_and_the_last_one_trained_stops_it(trainer: str) -> None:
    run = read_run(f"chat-own_{trainer}")
    model: Any = tuned_model(run.id, base="models/tiny", checkpoint=None, dtype="fp32", date=DATE, template="own.jinja")
    items = read_items(paths.split_part(run.training_set, "train"))
    for row in trainer_of(run).training_rows(run):
        text = items[row.index]["row"]
        prompt = model.api.chat.prompt_ids([{"role": "user", "content": f"say: {text['input']}"}])
        trained = [label for label in row.labels if label is not None]
        assert row.tokens == prompt + trained and trained[-1] in model.api.chat.stop_ids
        assert model.api.chat.render(prompt) == f"user: say: {text['input']}<stop>\nassistant: "
        assert model.api.chat.render(trained) == f"{text['output']}<|end_of_text|>"


@pytest.mark.usefixtures("experiment")
def test_validate_says_of_which_run_it_is_and_shows_its_prompt() -> None:
    runs = planned_runs()
    verdicts = Verdicts.of(run.id for run in runs)
    found = check_runs(runs, verdicts)
    assert not any(verdicts.errors.values())
    what = "own.jinja: ends an answer with '<stop>'"
    warned = {name for name, lines in verdicts.warnings.items() if any(line.startswith(what) for line in lines)}
    assert warned == {run.id for run in runs if "own" in run.id}
    (shown,) = {example["text"] for example in found.examples if "own" in example["run"]}
    assert re.fullmatch(r"user: say: .*<stop>\nassistant: ⟦.*<\|end_of_text\|>⟧", shown)


@pytest.mark.parametrize("value", ["own.txt", "../own.jinja", "/own.jinja", "a\nb.jinja", "${a}.jinja", 3])
@pytest.mark.usefixtures("experiment")
def test_it_is_named_by_a_file_of_the_experiment(value: Any) -> None:
    before = paths.EXPERIMENT_YAML.read_bytes()
    change_experiment(prompt={"template": value}, factors={})()
    try:
        with pytest.raises(UserError, match=r"experiment\.yaml: prompt\.template: must be a file"):
            read_experiment(paths.EXPERIMENT_YAML)
    finally:
        paths.EXPERIMENT_YAML.write_bytes(before)
