"""Bad input: one message in the house grammar, exit status 1, nothing lost, nothing written beside the experiment.

The rows are in bad_inputs.py; with test_mistakes.py they make the table in docs/mistakes.md.
"""

import ast
import contextlib
import io
import re
import shutil
import sys
from pathlib import Path

import plan as plan_stage
import pytest
import split as split_stage
import stamp as stamp_stage
import validate as validate_stage
from ftexp.ground import paths
from ftexp.ground.errors import run_command
from helpers.bad_inputs import BAD_INPUTS, GRAMMAR, BadInput
from helpers.changes import experiment
from helpers.experiments import tree
from helpers.marks import slow_but
from helpers.tiny_models import TinyExperiment, make_experiment
from helpers.written_tables import tell

CURE = re.compile(r"must |\. [A-Z]|; ")
RUNS = re.compile(r"^runs/[\w.+-]+(, runs/[\w.+-]+)*( and \d+ more)?: (not stamped: )?")
PROGRESS = re.compile(r"(stamp|split|validate): |cost of |  |$")
# What stages write for themselves; all else is a person's, or is a result.
GENERATED = re.compile(r"tiny/(runs\.csv|dvc\.yaml|code\.json|events\.jsonl|preflight\.json|\.scratch/.*|runs/[^/]+(/[^/]+)?)")
RESULTS = ("results.csv", "runs/s1/checkpoint/adapter_model.safetensors", "runs/s1/eval/test.eval")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> TinyExperiment:
    """An experiment in which nothing is wrong, with results."""
    made = make_experiment(tmp_path_factory.mktemp("good") / "tiny", "qwen2", "chatml", evaluation={"max_tokens": 24})
    shutil.rmtree(made.root / "scripts")
    for name in RESULTS:
        (made.root / name).parent.mkdir(exist_ok=True)
        (made.root / name).write_text("precious")
    return made


@pytest.fixture
def folder(good: TinyExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that holds a copy of it, which is the working folder."""
    shutil.copytree(good.root, tmp_path / "tiny", symlinks=True)
    monkeypatch.chdir(tmp_path / "tiny")
    monkeypatch.setattr(sys, "argv", ["stage"])
    return tmp_path


def said() -> tuple[str, int, list[str]]:
    """Which of stamp, split and validate spoke last, its exit status and messages, as its command gives them."""
    for stage in (stamp_stage, split_stage, validate_stage):
        lines = io.StringIO()
        with contextlib.redirect_stderr(lines), contextlib.redirect_stdout(io.StringIO()), pytest.raises(SystemExit) as end:
            run_command(stage.main)
        if end.value.code:
            break
    messages = [line for line in lines.getvalue().splitlines() if not PROGRESS.match(line)]
    return stage.__name__, int(end.value.code or 0), messages


def test_the_good_experiment_is_good(folder: Path) -> None:
    assert said() == ("validate", 0, [])


def test_every_bad_input_has_a_name_of_its_own() -> None:
    assert len({bad.name for bad in BAD_INPUTS}) == len(BAD_INPUTS)


@pytest.mark.parametrize("bad", BAD_INPUTS, ids=[f"{bad.group}: {bad.name}" for bad in BAD_INPUTS])
def test_bad_input_ends_in_one_message_and_nothing_is_lost(bad: BadInput, folder: Path) -> None:
    bad.change()
    before = tree(folder)
    stage, code, messages = said()
    after = tree(folder)
    assert (code, len(messages)) == (1, 1), messages
    message = RUNS.sub("", messages[0])
    assert message.startswith(bad.message)
    assert GRAMMAR.fullmatch(message) and CURE.search(message) and message.isprintable() and len(message) < 1500, message
    changed = {name for name in {*before, *after} if before.get(name, b"absent") != after.get(name, b"absent")}
    assert {name for name in changed if not GENERATED.fullmatch(name)} == set()
    assert set(before) <= set(after)
    assert not changed or stage == "validate" or "not stamped: " in messages[0]
    tell("mistakes", bad.name, [bad.group, bad.name, message, "not asked"])


PROMPTS = [
    "'\"`\\", "\\", "a\nb\r\n\tc", "${output_dir} \\${x} $HOME $(touch pwned)", "{} {{ x }} {% raw %} {input}", "😀 日本 \u202e",
    "nul \0 bell \a escape \x1b[31m", "--- # & * ! | > % @", "\u2028\x85\ufeff", "??? x", "<|im_end|x", "x" * 300,
]


def test_a_prompt_may_hold_anything_and_reaches_the_model_as_it_is(folder: Path) -> None:
    """Through run.yaml, finetune.yaml and eval.py to the tokens, which decode to the text; nothing of it is executed."""
    from ftexp.data.prompts import prompt_turns
    from ftexp.data.rows import read_items
    from ftexp.design.planning import planned_runs
    from ftexp.models.chat import Chat
    from omegaconf import OmegaConf

    users = [text.replace("{", "{{").replace("}", "}}") + " {input}" for text in PROMPTS]
    levels = {f"p{n}": {"prompt.user": users[n], "prompt.system": text} for n, text in enumerate(PROMPTS)}
    experiment(factors={"wording": levels}, evaluation={"max_tokens": 24})()
    assert said()[:2] == ("validate", 0)
    runs = [run for run in planned_runs() if run.kind == "trained"]
    chat = Chat(Path("models/tiny"), "2026-01-01")
    assert len(runs) == len(PROMPTS)
    for run, text, user in zip(runs, PROMPTS, users, strict=True):
        places = paths.RunPaths(run.id)
        once = OmegaConf.to_container(OmegaConf.load(places.finetune_yaml), resolve=True)
        config = OmegaConf.to_container(OmegaConf.create(once), resolve=True)  # as torchtune resolves it, twice
        assert (config["dataset"]["system"], config["dataset"]["user"]) == (text, user)  # type: ignore[index,call-overload]
        constants = {node.value for node in ast.walk(ast.parse(places.eval_py.read_bytes())) if isinstance(node, ast.Constant)}
        assert {text, user} <= constants
        row = read_items(paths.split_part(run.asked[0].test_set, "test"))[0]["row"]
        tokens = chat.prompt_ids(prompt_turns(run.prompt, "input", row))
        asked = chat.tokenizer.decode(tokens, clean_up_tokenization_spaces=False)
        assert text in asked and f"{text} {row['input']}" in asked
    assert not list(folder.rglob("pwned"))


def test_a_data_file_outside_of_the_experiment_is_read_there_and_the_plan_says_so(folder: Path) -> None:
    import dvc.repo

    Path("data/raw/rows.json").rename(folder / "rows.json")
    for name in (str(folder / "rows.json"), "../rows.json"):
        experiment(data={"source": name})()
        assert said() == ("validate", 0, [])
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown):
            assert plan_stage.main([]) == 0
        assert f"outside of the experiment: {name}: neither git nor DVC keeps it" in shown.getvalue()
    stage = dvc.repo.Repo.init(".", no_scm=True).stage.load_one("dvc.yaml", name="split")
    assert stage.deps[0].def_path == "../rows.json"


FILE_NAMES = ["my rows.json", "-rf.json", ".rows.json", "$(touch pwned); `id` & 'x'.json", "日本 \"é\".json", "#a: b.json"]


@pytest.mark.parametrize("name", slow_but(FILE_NAMES, *FILE_NAMES[3:5]))
def test_a_data_file_may_be_called_anything_on_one_line(name: str, folder: Path) -> None:
    Path("data/raw/rows.json").rename(Path("data/raw") / name)
    experiment(data={"source": f"data/raw/{name}"})()
    assert said() == ("validate", 0, []) and not list(folder.rglob("pwned"))
    import dvc.repo

    stage = dvc.repo.Repo.init(".", no_scm=True).stage.load_one("dvc.yaml", name="split")
    assert next(dependency.def_path for dependency in stage.deps) == f"data/raw/{name}"
