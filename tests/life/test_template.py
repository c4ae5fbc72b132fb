"""The template, baked: a folder that stands by itself, or one message and nothing written."""

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ENVIRONMENT, REPOSITORY, Bake
from cookiecutter.exceptions import FailedHookException, UndefinedVariableInTemplate
from ftexp.design.planning import planned_runs
from ftexp.design.spec import read_experiment
from ftexp.ground.yamlfile import load_yaml
from ftexp.life.environment import conda_environment

TEMPLATE_PARTS = ("cookiecutter.json", "hooks", "scripts", "sites", "data", "{{cookiecutter.experiment_name}}")
COOKIECUTTER = ENVIRONMENT / "bin" / "cookiecutter"
WORDS = [{"word": f"w{i}", "capital": f"W{i}"} for i in range(40)]
DEMO_RUNS = ["base", *(f"r{rank}_lr{lr}_s{seed}" for rank in (2, 16) for lr in ("1e-4", "3e-3") for seed in (1, 2))]
DESIGN = """\
# Why we do this.
experiment: other     # the old name
question: Does it?    # yes
data: {source: words.jsonl, input: word, output: capital}
factors:
  # two ranks
  lora_rank: [4, 8]
  corpus: {all: {data.source: words.jsonl}, few: {data.source: few.jsonl}}
constants: {model: tiny-instruct, batch_size: 4}
"""


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def _names_in_git(folder: str) -> set[str]:
    """Files of a folder of the repository that git holds or would hold, relative to it."""
    command = ["git", "-C", str(REPOSITORY), "ls-files", "--cached", "--others", "--exclude-standard", folder]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return {name.removeprefix(f"{folder}/") for name in names if (REPOSITORY / name).exists()}


def _bake_by_command(template: Path, folder: Path, *answers: str) -> "subprocess.CompletedProcess[str]":
    command = [str(COOKIECUTTER), str(template), "--no-input", "--default-config", "--output-dir", str(folder / "out"), *answers]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def _plan(folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "scripts/plan.py"], cwd=folder, capture_output=True, text=True, check=False)


def _write_words(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "words.jsonl").write_text("".join(json.dumps(row) + "\n" for row in WORDS))
    (folder / "few.jsonl").write_text("".join(json.dumps(row) + "\n" for row in WORDS[:30]))


def test_at_most_eight_questions_are_asked() -> None:
    questions = [key for key in json.loads((REPOSITORY / "cookiecutter.json").read_text()) if not key.startswith("_")]
    assert questions == ["experiment_name", "question", "data", "model", "factors", "design", "site"]


def test_the_baked_folder_holds_exactly_these_files(bake: Bake) -> None:
    folder = bake()
    scripts = {f"scripts/{name}" for name in _names_in_git("scripts")}
    template = _names_in_git("{{cookiecutter.experiment_name}}") - {"scripts"}
    model = {f"data/models/tiny-instruct/{name}" for name in _names_in_git("data/models/tiny-instruct")}
    written = {
        "experiment.yaml",
        "site.yaml",
        "template.json",
        "runs.csv",
        "data/raw/words.json",
        *(f"runs/{run}/run.yaml" for run in DEMO_RUNS),
    }
    assert _files(folder) == scripts | template | model | written
    assert {"Makefile", "README.md", "requirements.txt", ".gitignore", ".dvcignore"} <= template
    assert not [path for path in folder.rglob("*") if path.is_symlink()]


def test_what_is_baked_equals_the_template(bake: Bake) -> None:
    folder = bake()
    for name in _names_in_git("scripts"):
        assert (folder / "scripts" / name).read_bytes() == (REPOSITORY / "scripts" / name).read_bytes()
    assert (folder / "data/raw/words.json").read_bytes() == (REPOSITORY / "data/words.json").read_bytes()
    assert (folder / "site.yaml").read_bytes() == (REPOSITORY / "sites/local.yaml").read_bytes()
    made_by = json.loads((folder / "template.json").read_text())
    assert set(made_by) == {"version", "commit", "files"} and len(made_by["commit"].removesuffix("-dirty")) == 40
    copied = {f"scripts/{name}" for name in _names_in_git("scripts")} | _names_in_git("{{cookiecutter.experiment_name}}")
    assert set(made_by["files"]) == copied - {"scripts", "README.md"}


def test_the_experiment_works_with_the_template_gone(tmp_path: Path) -> None:
    template = tmp_path / "template"
    template.mkdir()
    for name in TEMPLATE_PARTS:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(
                source, template / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", ".*_cache", "scowl")
            )
        else:
            shutil.copy(source, template / name)
    stale = template / "scripts" / "ftexp" / "__pycache__"
    for cache in (stale, template / "scripts" / ".ruff_cache"):
        cache.mkdir()
        (cache / "x").write_text("")
    result = _bake_by_command(template, tmp_path, "experiment_name=mine")
    assert result.returncode == 0, result.stderr
    next_line = f"Next: cd {tmp_path / 'out/mine'} && make setup plan, then make all"
    assert f"mine: planned: 8 runs and 1 control.\n{next_line}" in result.stdout
    shutil.rmtree(template)
    folder = tmp_path / "out" / "mine"
    assert not [name for name in _files(folder) if "cache" in name]
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    plan = _plan(folder)
    assert plan.returncode == 0, plan.stderr
    assert "8 runs (2 lora_rank x 2 lr x 2 seed) and 1 control\n" in plan.stdout
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    # Beside plan's memory and lock nothing changed.
    assert {path: text for path, text in after.items() if ".scratch" not in path.parts} == before


def test_the_plan_shows_runs_what_varies_what_is_constant_and_what_is_derived(
    bake: Bake, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = bake(factors="{lora_rank: [4, 16], lr: [1e-4, 1e-3]}")
    plan = _plan(folder).stdout
    for text in (
        "4 runs (2 lora_rank x 2 lr) and 1 control",
        "varies: lora_rank: 4, 16",
        "varies: lr: 0.0001, 0.001",
        "model=tiny-instruct",
        "batch_size=32",
        "r16_lr1e-3",
        "effective_batch",
        "warmup_steps",
        "lora_alpha",
        "disk:",
    ):
        assert text in plan
    monkeypatch.chdir(folder)
    assert [run["settings"]["lora_alpha"] for run in planned_runs() if run["kind"] == "trained"] == [8, 8, 32, 32]


def test_the_hook_plans_a_hundred_runs(bake: Bake) -> None:
    folder = bake(factors=f"{{lora_rank: {[2, 4, 8, 16]}, lr: [1e-4, 2e-4, 3e-4, 4e-4, 5e-4], seed: {list(range(5))}}}")
    assert len(list(folder.glob("runs/r*/run.yaml"))) == 100
    assert len((folder / "runs.csv").read_text().splitlines()) == 102


def test_a_relative_data_path_is_relative_to_the_callers_folder(tmp_path: Path) -> None:
    caller = tmp_path / "caller"
    _write_words(caller / "my data")
    result = _bake_by_command(
        REPOSITORY, caller, "data=my data/words.jsonl:word:capital", "experiment_name=mine", "factors={lr: [1e-4]}"
    )
    assert result.returncode == 0, result.stderr
    folder = caller / "out" / "mine"
    assert (folder / "data/raw/words.jsonl").read_bytes() == (caller / "my data/words.jsonl").read_bytes()
    shutil.rmtree(caller / "my data")
    assert _plan(folder).returncode == 0
    experiment = read_experiment(folder / "experiment.yaml")
    assert (experiment.data["source"], experiment.data["input"], experiment.data["output"]) == (
        "data/raw/words.jsonl",
        "word",
        "capital",
    )


@pytest.mark.parametrize(
    "question",
    [
        "Does 'it' matter?",
        'Say "no": #1?',
        "50 % of {x}, or [y] & *z",
        "yes",
        "3e-4",
        "ünï — ツ",
        "a: b",
        "back\\slash",
        "- dash",
        "'''\"\"\"",
    ],
)
def test_a_question_reads_back_as_it_was_asked(question: str, bake: Bake) -> None:
    assert read_experiment(bake(question=question, factors="{lr: [1e-4]}") / "experiment.yaml").question == question


def test_a_design_is_stamped_from_a_file_with_its_comments_and_its_data(
    bake: Bake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write_words(tmp_path / "old")
    (tmp_path / "old" / "experiment.yaml").write_text(DESIGN)
    monkeypatch.chdir(tmp_path)
    folder = bake(design="old/experiment.yaml", experiment_name="newer")
    wanted = (
        DESIGN.replace("experiment: other", "experiment: newer")
        .replace("words.jsonl", "data/raw/words.jsonl")
        .replace("few.j", "data/raw/few.j")
    )
    assert (folder / "experiment.yaml").read_text() == wanted
    assert _files(folder / "data/raw") == {"words.jsonl", "few.jsonl"}
    shutil.rmtree(tmp_path / "old")
    plan = _plan(folder)
    assert plan.returncode == 0 and "4 runs (2 lora_rank x 2 corpus) and 2 controls" in plan.stdout, plan.stderr


def test_a_baked_experiment_is_a_design(bake: Bake) -> None:
    first = bake(experiment_name="first", factors="{lora_rank: [2]}")
    second = bake(experiment_name="second", design=str(first / "experiment.yaml"))
    assert (second / "experiment.yaml").read_text() == (first / "experiment.yaml").read_text().replace("first", "second")


def test_one_at_a_time_is_an_answer_and_first_levels_are_the_baseline(bake: Bake) -> None:
    folder = bake(design="one_at_a_time", factors="{lora_rank: [2, 4, 16], lr: [1e-4, 1e-3], seed: [1, 2]}")
    assert "\ndesign: one_at_a_time\n" in (folder / "experiment.yaml").read_text()
    words = "8 runs (one factor at a time from the baseline: 4 cells x 2 seed) and 1 control\nbaseline: lora_rank 2, lr 0.0001\n"
    plan = _plan(folder)
    assert plan.returncode == 0 and words in plan.stdout and words in (folder / "README.md").read_text()
    assert len((folder / "runs.csv").read_text().splitlines()) == 1 + 9


def test_a_file_with_a_list_and_what_it_excludes_is_stamped_as_it_is(
    bake: Bake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write_words(tmp_path / "old")
    listed = "design:\n- {lora_rank: 8}   # first\n- {corpus: few}\n- {lora_rank: 8, corpus: few}\n"
    listed += "exclude: [{lora_rank: 8, corpus: few}]\n"
    (tmp_path / "old" / "experiment.yaml").write_text(DESIGN + listed)
    monkeypatch.chdir(tmp_path)
    folder = bake(design="old/experiment.yaml", experiment_name="newer")
    assert (folder / "experiment.yaml").read_text().endswith(listed)
    words = "2 runs (a list of 3 cells, less 1 excluded) and 2 controls"
    assert words in (folder / "README.md").read_text()
    assert [line.partition(",")[0] for line in (folder / "runs.csv").read_text().splitlines()[1:]] == [
        "base_corpus-all", "base_corpus-few", "r8_corpus-all", "r4_corpus-few",
    ]


@pytest.mark.parametrize("name", ["Qwen2.5-0.5B", "org/name"])
def test_a_model_of_the_sites_folder_is_named_as_it_is(name: str, bake: Bake) -> None:
    folder = bake(model=name, factors="{lr: [1e-4]}")
    assert read_experiment(folder / "experiment.yaml").constants["model"] == name
    assert not (folder / "data/models").exists()


def test_a_model_given_by_its_path_points_the_site_at_its_folder(
    bake: Bake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "all models" / "mine"
    model.mkdir(parents=True)
    (model / "config.json").write_text("{}")
    (tmp_path / "site.yaml").write_text("device: cpu\n")
    monkeypatch.chdir(tmp_path)
    for number, site in enumerate(("local", "site.yaml")):
        folder = bake(model="all models/mine", site=site, factors="{lr: [1e-4]}", experiment_name=f"e{number}")
        assert load_yaml(folder / "site.yaml")["models"] == str(tmp_path / "all models")
        assert read_experiment(folder / "experiment.yaml").constants["model"] == "mine"


BAD_ANSWERS: list[tuple[dict[str, str], str]] = [
    *(
        ({"experiment_name": name}, "experiment_name: must be a name of letters")
        for name in ("../x", "a b", "-x", "", ".", "..", ".hidden", "x" * 300, "a/b", "/tmp/x", "naïve", "a\nb", "$(id)", "~")
    ),
    ({"question": " "}, "experiment.yaml: question: must be a sentence"),
    ({"factors": "{lora_rank: [4"}, "factors: line 1, column"),
    ({"factors": "lora_rank"}, "factors: must be a mapping such as {lora_rank: [4, 16]"),
    ({"factors": ""}, "factors: must be a mapping such as"),
    ({"factors": "{lora_ranks: [4]}"}, "experiment.yaml: factors.lora_ranks: unknown factor. Did you mean 'lora_rank'?"),
    ({"factors": "{lora_rank: [4, 4]}"}, "experiment.yaml: factors.lora_rank: has the level 4 twice"),
    ({"factors": "{lora_rank: []}"}, "experiment.yaml: factors.lora_rank: must be a list of at least one level"),
    ({"factors": "{train_size: [99999]}"}, "experiment.yaml: no run is usable"),
    ({"data": "missing.json"}, "data: there is no file 'missing.json' (looked for "),
    ({"data": "x" * 300}, "data: there is no file 'xxx"),
    ({"data": "~nobody-of-this-name/x.json"}, "data: there is no file '~nobody"),
    ({"data": ""}, "data: there is no file ''"),
    (
        {"data": "words.jsonl"},
        "data: words.jsonl has no column 'input' and 'output'; it has word, capital. Write data=words.jsonl:INPUT_COLUMN",
    ),
    ({"data": "words.jsonl:word"}, "data: must be FILE or FILE:INPUT_COLUMN:OUTPUT_COLUMN"),
    ({"data": "words.jsonl:word:capitals"}, "data: words.jsonl has no column 'capitals'"),
    ({"data": "empty.json"}, "data: empty.json has no rows"),
    ({"data": "broken.json"}, "broken.json: line 1: not readable as JSON"),
    ({"data": "broken.parquet"}, "broken.parquet: not readable as parquet"),
    ({"data": "text.txt"}, "text.txt: must be one of .json, .jsonl, .csv, .parquet"),
    ({"site": "locla"}, "site: there is no profile 'locla'. Did you mean 'local'?"),
    ({"site": "bad-site.yaml"}, "bad-site.yaml: acount: unknown key. Did you mean 'account'?"),
    ({"site": "bytes"}, "bytes: not UTF-8 text"),
    ({"model": "/no/such/model"}, "model: '/no/such/model' is no folder with a config.json"),
    ({"model": "../model"}, "model: '../model' is no folder with a config.json"),
    ({"model": ""}, "model: '' is no folder with a config.json"),
    ({"model": "x" * 300}, "model: 'xxx"),
    ({"design": "missing.yaml"}, "design: there is no file 'missing.yaml'"),
    ({"design": "facctorial"}, "design: there is no file 'facctorial'"),
    ({"design": "bytes"}, "bytes: not UTF-8 text, at byte 0"),
    ({"design": "design.yaml"}, "design: data: there is no file 'gone.json'"),
    ({"design": "bad-design.yaml"}, "bad-design.yaml: factors.lr: must be a number above 0"),
    ({"design": "design.yaml", "factors": "{lr: [1]}"}, "design: design.yaml says factors already. Leave the answer out"),
]


@pytest.fixture
def _bad_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "caller"
    _write_words(folder)
    for name, content in {
        "empty.json": b"[]",
        "broken.json": b"[{",
        "broken.parquet": b"PAR1",
        "text.txt": b"",
        "bytes": b"\xff",
        "bad-site.yaml": b"acount: x\n",
        "design.yaml": DESIGN.replace("source: words.jsonl,", "source: gone.json,").encode(),
        "bad-design.yaml": DESIGN.replace("lora_rank: [4, 8]", "lr: [0]").encode(),
    }.items():
        (folder / name).write_bytes(content)
    monkeypatch.chdir(folder)


@pytest.mark.usefixtures("_bad_files")
@pytest.mark.parametrize(
    ("answers", "message"),
    BAD_ANSWERS,
    ids=[f"{k}={v[:20]!r}" for answers, _ in BAD_ANSWERS for k, v in [list(answers.items())[-1]]],
)
def test_a_bad_answer_ends_in_one_message_before_anything_is_written(
    answers: dict[str, str], message: str, bake: Bake, tmp_path: Path
) -> None:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(FailedHookException) as error:
        bake(**answers)
    assert str(error.value).startswith("nothing was written\n") and message in str(error.value), error.value
    assert len(str(error.value).splitlines()) == 2  # "nothing was written", and the message
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.usefixtures("_bad_files")
def test_the_command_prints_the_message_without_a_traceback_and_exits_with_1(tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    result = _bake_by_command(REPOSITORY, tmp_path / "caller", "experiment_name=../x")
    text = result.stdout + result.stderr
    assert result.returncode == 1
    assert "nothing was written\nexperiment_name: must be a name" in text and "Traceback" not in text
    assert sorted(tmp_path.rglob("*")) == before


def test_an_answer_that_is_a_jinja_expression_writes_nothing(bake: Bake, tmp_path: Path) -> None:
    with pytest.raises(UndefinedVariableInTemplate):
        bake(question="What is {{ nothing.here }}?")
    assert sorted(tmp_path.rglob("*")) == []


def test_a_folder_that_is_there_is_not_touched(bake: Bake, tmp_path: Path) -> None:
    from cookiecutter.exceptions import OutputDirExistsException

    mine = tmp_path / "baked" / "mine"
    mine.mkdir(parents=True)
    (mine / "experiment.yaml").write_text("precious")
    with pytest.raises(OutputDirExistsException):
        bake(experiment_name="mine")
    assert _files(mine) == {"experiment.yaml"} and (mine / "experiment.yaml").read_text() == "precious"


BLOCKER = """
import sys
class Blocker:
    blocked = {names!r}
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.blocked:
            raise ImportError("blocked: " + name)
sys.meta_path.insert(0, Blocker())
"""
FORBIDDEN = (
    "torch",
    "torchtune",
    "torchao",
    "transformers",
    "tokenizers",
    "pandas",
    "numpy",
    "inspect_ai",
    "dvc",
    "omegaconf",
    "pyarrow",
    "pydantic",
    "jinja2",
    "cookiecutter",
    "requests",
    "datasets",
)


def test_the_hook_needs_nothing_but_yaml(bake: Bake, tmp_path: Path) -> None:
    folder = bake(experiment_name="mine")
    code = BLOCKER.format(names=FORBIDDEN) + (
        "sys.path.insert(0, 'scripts')\nimport ftexp.life.new_experiment\n"
        "from ftexp.design.planning import make_plan, write_plan\n"
        "changed = write_plan(*make_plan())\nprint(len(changed))\n"
    )
    (folder / "runs.csv").unlink()
    shutil.rmtree(folder / "runs")
    result = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, f"{len(DEMO_RUNS) + 1}\n"), result.stderr


def test_parquet_where_pyarrow_is_absent_says_what_to_do(tmp_path: Path) -> None:
    code = BLOCKER.format(names=FORBIDDEN) + (
        f"sys.path.insert(0, {str(REPOSITORY / 'scripts')!r})\nfrom pathlib import Path\n"
        "from ftexp.life.new_experiment import complete_answers\nfrom ftexp.ground.errors import UserError\n"
        "Path('x.parquet').write_bytes(b'PAR1')\n"
        "try:\n    complete_answers({**ANSWERS, 'data': 'x.parquet'}, Path(ROOT))\nexcept UserError as error:\n    print(error)\n"
    )
    answers = {k: v for k, v in json.loads((REPOSITORY / "cookiecutter.json").read_text()).items() if not k.startswith("_")}
    code = code.replace("ANSWERS", repr(answers)).replace("ROOT", repr(str(REPOSITORY)))
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "x.parquet is parquet, which cookiecutter's own Python cannot read" in result.stdout


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("place", ["outside", "inside", "ignored"])
def test_setup_makes_a_repository_only_where_there_is_none(
    place: str, bake: Bake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up: Any = importlib.import_module("set_up")

    (tmp_path / "baked").mkdir()
    if place != "outside":
        _git(tmp_path, "init", "--quiet")
    if place == "ignored":
        (tmp_path / ".gitignore").write_text("baked/\n")
    folder = bake(experiment_name="mine", factors="{lr: [1e-4]}")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    set_up.init_git()
    assert Path(_git(folder, "rev-parse", "--show-toplevel")) == (tmp_path if place == "inside" else folder)
    assert (folder / ".git").exists() == (place != "inside")
    set_up.link_models(Path("data/models"))
    assert os.readlink(folder / "models") == "data/models"
    names: Any = _git(folder, "status", "--porcelain", "--untracked-files=all", ".").splitlines()
    assert not [name for name in names if "models/tiny" in name and "data/models" not in name]
    assert [name for name in names if name.endswith("experiment.yaml")]


CONDA_ENVS = "# conda environments:\n#\nbase                     /opt/conda\nftexp                 *  {folder}\n"


@pytest.mark.parametrize(("named", "found"), [("ftexp", "here"), ("/some/where", "/some/where"), ("ftexq", None)])
def test_a_conda_environment_is_found_by_name_or_folder(
    named: str, found: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    conda = tmp_path / "conda"
    conda.write_text(f"#!/bin/sh\nprintf '%s' '{CONDA_ENVS.format(folder=tmp_path / 'here')}'\n")
    conda.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    if found is None:
        with pytest.raises(SystemExit):
            conda_environment(named)
        assert "site.yaml: conda: there is no environment 'ftexq'. Those there are: base, ftexp" in capsys.readouterr().err
    else:
        assert conda_environment(named) == tmp_path / found


def test_a_conda_that_is_not_there_is_one_message(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SystemExit):
        conda_environment("ftexp")
    assert "Load conda's module first" in capsys.readouterr().err
