"""What becomes stale: a table of changes, and of what each asks to be done again. Nothing is trained here."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import split as split_stage
import stamp
from conftest import REPOSITORY
from ftexp.design.planning import read_run
from ftexp.evaluation import eval_file
from ftexp.ground import paths, source_code
from ftexp.ground.filesystem import read_json, sha256_file, write_json
from ftexp.results.provenance import provenance_of_run
from ftexp.state import code_version
from helpers import written_tables
from helpers.baking import entered_copy
from helpers.experiments import edit
from helpers.finished import finish_all, make_change_and_look, states
from warm.environment import warm_environment

WORDING = """\
  wording:
    plain: {prompt.user: "{input}"}
    asked: {prompt.user: "Capitalise: {input}", prompt.template: own.jinja}
"""
ALL_DONE = ("4 done", "6 done")
Change = Callable[[], object]
Reading = tuple[str, tuple[str, ...]]


@pytest.fixture(scope="module")
def finished(baked_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four runs and two controls, whose stages are done by what stands for their products."""
    with entered_copy(baked_once, tmp_path_factory.mktemp("staleness") / "mine") as folder:
        edit(paths.EXPERIMENT_YAML, "  lr: [0.0001, 0.001]\n", WORDING)
        Path("own.jinja").write_text("{{ messages[0]['content'] }}\n", encoding="utf-8")
        answer_by_three_labels()
        finish_all()
        assert states() == ALL_DONE
    return folder


def answer_by_three_labels() -> None:
    """For macro_f1 and groups, which words that come once do not have."""
    path = Path("data/raw/words.json")
    rows = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps([{**row, "output": f"label {i % 3}"} for i, row in enumerate(rows)]), encoding="utf-8")


@pytest.fixture
def experiment(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to be changed; its own code is the code."""
    folder = tmp_path / "mine"
    shutil.copytree(finished, folder, symlinks=True)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(code_version, "_FTEXP", folder / "scripts" / "ftexp")
    monkeypatch.setattr(source_code, "_read", lambda path: reading_of(path.read_bytes(), path))
    return folder


READ: dict[bytes, Reading] = {}


def reading_of(content: bytes, path: Path, read: Callable[[Path], Reading] = source_code._read) -> Reading:
    """What the code makes of a file, remembered by its bytes: to parse 20 files for every row takes longer than the rest."""
    if content not in READ:
        READ[content] = read(path)
    return READ[content]


def spec(old: str, new: str) -> Change:
    return lambda: edit(paths.EXPERIMENT_YAML, old, new)


def append(path: str, text: str) -> Change:
    def change() -> None:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)

    return change


def remove(name: str) -> Change:
    path = Path(name)
    return lambda: shutil.rmtree(path) if path.is_dir() else path.unlink()


def drop_a_data_row() -> None:
    path = Path("data/raw/words.json")
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8"))[1:]), encoding="utf-8")


def newer_template() -> None:
    write_json(paths.TEMPLATE_JSON, {**read_json(paths.TEMPLATE_JSON), "version": "99.0.0"})
    edit(Path("scripts/ftexp/__init__.py"), '__version__ = "', '__version__ = "99.')
    append("README.md", "newer\n")()


def another_prompt() -> None:
    lines = paths.EXPERIMENT_YAML.read_text(encoding="utf-8").splitlines()
    edit(paths.EXPERIMENT_YAML, next(line for line in lines if line.startswith("  user:")), '  user: "Another: {input}"')


def pin_another_torch() -> None:
    path = Path("requirements.txt")
    old = next(line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("torch=="))
    edit(path, f"\n{old}\n", "\ntorch==99.0.0\n")


def comment_and_docstring() -> None:
    path = Path("scripts/ftexp/trainers/torchtune/components/dataset.py")
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"""', '"""New: ', 1) + "# a comment\n", encoding="utf-8")


NAMED = "wording:\n"
ASKED_ANEW = "6 stale (changed: eval.py of task test)"
TABLE: list[tuple[str, Change, tuple[str, str], str]] = [
    ("nothing", lambda: None, ALL_DONE, ""),
    ("a typo in a comment of `experiment.yaml`", spec("# any column", "# Any column"), ALL_DONE, ""),
    ("`question`", spec("question: null", "question: Why does it"), ALL_DONE, ""),
    (
        "`baseline`", append("experiment.yaml", "baseline: {lora_rank: 16}\n"), ALL_DONE,
        "the report reads the same answers in another way",
    ),
    (
        "`evaluation.cluster`", spec("max_tokens: 16}", "max_tokens: 16, cluster: output}"), ALL_DONE,
        "the report reads the same answers in another way",
    ),
    (
        "`evaluation.metrics` and `evaluation.primary`",
        spec("max_tokens: 16}", "max_tokens: 16, metrics: [macro_f1], primary: macro_f1}"), ALL_DONE, "the same",
    ),
    ("`evaluation.groups`", spec("max_tokens: 16}", "max_tokens: 16, groups: [output]}"), ALL_DONE, "the same"),
    (
        "`experiment`, its name", spec("experiment: mine", "experiment: yours"), ("4 done", ASKED_ANEW),
        "every log names its experiment",
    ),
    ("the levels of a factor in another order", spec("[4, 16]", "[16, 4]"), ALL_DONE, ""),
    ("a level more", spec("[4, 16]", "[4, 16, 32]"), ("4 done, 2 ready", "6 done, 2 waiting for their training"), ""),
    (
        "a level less", spec("[4, 16]", "[4]"), ("2 done", "4 done"),
        "its runs stay where they are, and count again when the level comes back",
    ),
    (
        "a level's value", spec("[4, 16]", "[4, 17]"), ("2 done, 2 ready", "4 done, 2 waiting for their training"),
        "as if one level went and another came",
    ),
    (
        "what a named level sets", spec("Capitalise: ", "Capitalise! "),
        (
            "2 done, 2 stale (changed: finetune.yaml)",
            "3 done, 1 stale (changed: eval.py of task test), 2 waiting for their training",
        ),
        "its control is asked again, too",
    ),
    (
        "a named level's name", spec("asked:", "told:"), ("2 done, 2 ready", "3 done, 1 ready, 2 waiting for their training"),
        "the old runs stay where they are",
    ),
    (
        "a factor's name", spec(NAMED, "style:\n"), ("4 ready", "2 ready, 4 waiting for their training"),
        "the old runs stay where they are, and `make` says by which `naming` they count again: see the next row",
    ),
    (
        "a factor's name, its letters kept by `naming`",
        lambda: (spec(NAMED, "style:\n")(), append("experiment.yaml", "naming: {style: wording-}\n")()), ALL_DONE, "",
    ),
    (
        "`naming`", append("experiment.yaml", "naming: {lora_rank: rank}\n"),
        ("4 ready", "2 done, 4 waiting for their training"), "the same",
    ),
    (
        "a factor more", spec("design: factorial", "  seed: [1]\ndesign: factorial"),
        ("4 ready", "2 done, 4 waiting for their training"),
        "every run has another level now, even where its value is what the constant was",
    ),
    (
        "a constant that trains", spec("epochs: 2", "epochs: 3"),
        ("4 stale (changed: finetune.yaml)", "2 done, 4 waiting for their training"), "",
    ),
    (
        "`prompt.system`", spec("system: null", "system: Be brief."),
        ("4 stale (changed: finetune.yaml)", "2 stale (changed: eval.py of task test), 4 waiting for their training"), "",
    ),
    (
        "`prompt.user`, in every level",
        lambda: (spec('{prompt.user: "{input}"', '{prompt.user: "!{input}"')(), spec("Cap", "cap")()),
        ("4 stale (changed: finetune.yaml)", "2 stale (changed: eval.py of task test), 4 waiting for their training"), "",
    ),
    ("`prompt.user`, where every level sets it", another_prompt, ALL_DONE, "no run has it"),
    (
        "`prompt.date`, which no prompt shows", spec("2026-01-01", "2026-01-02"),
        ("4 stale (changed: finetune.yaml)", "2 stale (changed: eval.py of task test), 4 waiting for their training"),
        "whether a template shows it is not asked",
    ),
    ("`evaluation.max_tokens`", spec("max_tokens: 16", "max_tokens: 17"), ("4 done", ASKED_ANEW), ""),
    (
        "`data.split.seed`", spec("test: 0.2, seed: 0", "test: 0.2, seed: 1"),
        ("4 stale (changed: the rows)", "2 stale (changed: the rows of task test), 4 waiting for their training"),
        "",
    ),
    (
        "the data file", drop_a_data_row,
        ("4 stale (changed: the rows)", "2 stale (changed: the rows of task test), 4 waiting for their training"), "",
    ),
    ("the time of the data file alone", lambda: Path("data/raw/words.json").touch(), ALL_DONE, ""),
    (
        "the base model's weights", append("data/models/tiny-instruct/model.safetensors", "x"),
        ("4 stale (changed: the base model)", "2 stale (changed: the base model), 4 waiting for their training"), "",
    ),
    (
        "`config.json` of the base model, even by a blank", append("data/models/tiny-instruct/config.json", " "),
        ("4 stale (changed: the base model)", "2 stale (changed: the base model), 4 waiting for their training"), "",
    ),
    (
        "the chat template that a level names", append("own.jinja", "{# more #}"),
        (
            "2 done, 2 stale (changed: the chat template)",
            "3 done, 1 stale (changed: the chat template), 2 waiting for their training",
        ),
        "the model's own is one of its files",
    ),
    (
        "the name of its file", lambda: (Path("own.jinja").rename("a.jinja"), spec("own.jinja", "a.jinja")()), ALL_DONE, "",
    ),
    ("`site.yaml`", append("site.yaml", "tries: 5\n"), ALL_DONE, ""),
    ("`job.slurm.template`", append("job.slurm.template", "# a word\n"), ALL_DONE, ""),
    ("a comment or a docstring of the training's code", comment_and_docstring, ALL_DONE, ""),
    (
        "the training's code", append("scripts/ftexp/trainers/torchtune/components/dataset.py", "NEW = 1\n"),
        ("4 stale (changed: the code)", "2 done, 4 waiting for their training"), "",
    ),
    (
        "the evaluation's code", append("scripts/ftexp/evaluation/scorer.py", "NEW = 1\n"),
        ("4 done", "6 stale (changed: the code)"), "",
    ),
    (
        "the code that makes prompts", append("scripts/ftexp/models/chat.py", "NEW = 1\n"),
        ("4 stale (changed: the code)", "2 stale (changed: the code), 4 waiting for their training"), "",
    ),
    (
        "the code that reads a split's rows", append("scripts/ftexp/data/rows.py", "NEW = 1\n"),
        ("4 stale (changed: the code)", "2 stale (changed: the code), 4 waiting for their training"),
        "trainings and evaluations read rows by it",
    ),
    (
        "the code that splits", append("scripts/ftexp/data/splits.py", "NEW = 1\n"), ALL_DONE,
        "the split is made again; where that gives the same rows, nothing else is",
    ),
    (
        "the code that judges", append("scripts/ftexp/scoring/texts.py", "NEW = 1\n"), ALL_DONE,
        "`make score` judges the answers again; what graders and scorers of one's own said of them is kept",
    ),
    ("the report's code", append("scripts/ftexp/reporting/page.py", "NEW = 1\n"), ALL_DONE, ""),
    ("the checks' code", append("scripts/ftexp/checks/cost.py", "NEW = 1\n"), ALL_DONE, "`make validate` proves every run again"),
    ("a newer template that computes the same", newer_template, ALL_DONE, ""),
    (
        "a pin in `requirements.txt`", pin_another_torch, ALL_DONE,
        "the page of the report says which packages gave which runs",
    ),
    ("`finetune.yaml` of a run is gone", remove("runs/r4_wording-plain/finetune.yaml"), ALL_DONE, "it is made again, the same"),
    ("the split is gone", remove("data/splits"), ALL_DONE, "it is made again, the same"),
    (
        "a run's checkpoint is gone", remove("runs/r4_wording-plain/checkpoint"),
        ("1 ready, 3 done", "5 done, 1 waiting for their training"), "`dvc checkout` brings it back",
    ),
    ("a run's log is gone", remove("runs/r4_wording-plain/eval"), ("4 done", "5 done, 1 ready"), "`dvc checkout` brings it back"),
    (
        "a run's `train.json` is gone", remove("runs/r4_wording-plain/train.json"),
        ("1 ready, 3 done", "5 done, 1 waiting for their training"), "`git checkout` brings it back",
    ),
    (
        "a run's folder is gone", remove("runs/r4_wording-plain"), ("1 ready, 3 done", "5 done, 1 waiting for their training"),
        "`git checkout` and `dvc checkout` bring it back",
    ),
]


@pytest.mark.usefixtures("experiment")
@pytest.mark.parametrize(("what", "change", "expected", "remark"), TABLE, ids=[row[0] for row in TABLE])
def test_what_becomes_stale_and_nothing_is_lost(what: str, change: Change, expected: tuple[str, str], remark: str) -> None:
    written_tables.promise("staleness", [row[0] for row in TABLE])
    make_change_and_look(change, expected)
    written_tables.tell("staleness", what, [what, *expected, remark])


@pytest.mark.usefixtures("experiment")
def test_the_record_of_a_number_has_the_chat_template_with_its_hash() -> None:
    own, plain = (provenance_of_run(read_run(f"r4_wording-{wording}")) for wording in ("asked", "plain"))
    assert own["chat_template"] == {"file": "own.jinja", "sha256": sha256_file(Path("own.jinja"))}
    assert "chat_template" not in plain


RENAMED = {
    "a factor": (NAMED, "style:\n", "", "{style: wording-}"),
    "another too, with letters of its own": (
        NAMED, "style:\n", "naming: {lora_rank: rank}\n", "{lora_rank: r, style: wording-}",
    ),
}


@pytest.mark.usefixtures("experiment")
@pytest.mark.parametrize(("old", "new", "naming", "wanted"), RENAMED.values(), ids=RENAMED.keys())
def test_after_a_renaming_it_is_said_how_the_results_count_again(
    old: str, new: str, naming: str, wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(paths.EXPERIMENT_YAML, old, new)
    append("experiment.yaml", naming)()
    assert stamp.main([]) == 0
    assert f"keep their names: in experiment.yaml, naming: {wanted}" in capsys.readouterr().err
    if naming:
        edit(paths.EXPERIMENT_YAML, naming, "")
    append("experiment.yaml", f"naming: {wanted}\n")()
    assert stamp.main([]) == 0 and split_stage.main([]) == 0
    assert states() == ALL_DONE
    assert "former name" not in capsys.readouterr().err


@pytest.mark.usefixtures("experiment")
def test_a_level_that_left_is_not_taken_for_a_renaming(capsys: pytest.CaptureFixture[str]) -> None:
    edit(paths.EXPERIMENT_YAML, "[4, 16]", "[4, 17]")
    assert stamp.main([]) == 0
    said = capsys.readouterr().err
    assert "not in the design (kept, not reported): base, r16_lr1e-3" in said and "former name" not in said


COMPONENTS = ("checkpointer", "dataset", "gemma2", "metric_logger", "qwen2", "schedule", "tokenizer")
NAMED_BY_CONFIGS = [f"ftexp.trainers.torchtune.components.{name}" for name in COMPONENTS]
# What an eval.py imports; but the scorers, by which nothing is answered.
NAMED_BY_TASKS = sorted({f"ftexp.{module}" for name, module in eval_file._MODULES.items() if name != "scorers"})


@pytest.mark.parametrize(("part", "modules"), [
    ("training", [*NAMED_BY_CONFIGS, "ftexp.trainers.torchtune.process"]),
    ("evaluation", [*NAMED_BY_TASKS, "ftexp.trainers.torchtune.quantized_base"]),
])
def test_all_code_of_ours_that_a_stage_imports_is_in_its_version_or_left_out_with_a_reason(
    part: str, modules: list[str], tmp_path: Path
) -> None:
    script = tmp_path / "importing.py"  # run by a fork that has imported nothing of ours
    ours = "(module.__file__ for name, module in sys.modules.items() if name.startswith('ftexp.'))"
    script.write_text(f"import sys, {', '.join(modules)}\nprint(*{ours})")
    command = [str(warm_environment() / "bin/python"), str(script)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "scripts")}
    imported = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()
    names = {str(Path(file).relative_to(REPOSITORY / "scripts/ftexp")) for file in imported}
    hashed = {str(path.relative_to(REPOSITORY / "scripts/ftexp")) for path in code_version.modules_of(part)}
    rooms = {name for name in names if name.endswith("__init__.py")}
    assert len(names) > 5 and names - rooms <= hashed | set(code_version.LEFT_OUT)


@pytest.mark.parametrize("part", ["training", "training_by_transformers", "evaluation", "judge"])
def test_no_product_depends_on_the_code_that_reads_designs_or_splits_rows(part: str) -> None:
    files = set(code_version.digests_of(part))
    of_designs = {file for file in files if file.startswith("design/")}
    assert len(files) > 1 and not of_designs | files & {"data/splits.py", "data/held_out.py"}
