"""The template, baked: a folder that stands by itself, with what it needs and no more."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY, Bake
from ftexp.design.planning import planned_runs
from helpers.baking import DEMO_RUNS, bake_by_command, files_in, names_in_git, run_plan

TEMPLATE_PARTS = ("cookiecutter.json", "hooks", "scripts", "sites", "data", "{{cookiecutter.experiment_name}}")


def test_the_baked_folder_holds_exactly_these_files(bake: Bake) -> None:
    folder = bake()
    scripts = {f"scripts/{name}" for name in names_in_git("scripts")}
    template = names_in_git("{{cookiecutter.experiment_name}}") - {"scripts"}
    model = {f"data/models/tiny-instruct/{name}" for name in names_in_git("data/models/tiny-instruct")}
    written = {
        "experiment.yaml",
        "site.yaml",
        "template.json",
        "runs.csv",
        "data/raw/words.json",
        *(f"runs/{run}/run.yaml" for run in DEMO_RUNS),
    }
    assert files_in(folder) == scripts | template | model | written
    assert {"Makefile", "README.md", "requirements.txt", ".gitignore", ".dvcignore"} <= template
    assert not [path for path in folder.rglob("*") if path.is_symlink()]


def test_what_is_baked_equals_the_template(bake: Bake) -> None:
    folder = bake()
    for name in names_in_git("scripts"):
        assert (folder / "scripts" / name).read_bytes() == (REPOSITORY / "scripts" / name).read_bytes()
    assert (folder / "data/raw/words.json").read_bytes() == (REPOSITORY / "data/words.json").read_bytes()
    assert (folder / "site.yaml").read_bytes() == (REPOSITORY / "sites/local.yaml").read_bytes()
    made_by = json.loads((folder / "template.json").read_text())
    assert set(made_by) == {"version", "commit", "files"} and len(made_by["commit"].removesuffix("-dirty")) == 40
    copied = {f"scripts/{name}" for name in names_in_git("scripts")} | names_in_git("{{cookiecutter.experiment_name}}")
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
    result = bake_by_command(template, tmp_path, "experiment_name=mine")
    assert result.returncode == 0, result.stderr
    next_line = f"Next: cd {tmp_path / 'out/mine'} && make setup plan, then make all"
    assert f"mine: planned: 8 runs and 1 control.\n{next_line}" in result.stdout
    shutil.rmtree(template)
    folder = tmp_path / "out" / "mine"
    assert not [name for name in files_in(folder) if "__pycache__" in name or ".ruff_cache" in name]
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    plan = run_plan(folder)
    assert plan.returncode == 0, plan.stderr
    assert "8 runs (2 lora_rank x 2 lr x 2 seed) and 1 control\n" in plan.stdout
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    # Beside plan's memory and lock nothing changed.
    assert {path: text for path, text in after.items() if ".scratch" not in path.parts} == before


def test_the_plan_shows_runs_what_varies_what_is_constant_and_what_is_derived(
    bake: Bake, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = bake(factors="{lora_rank: [4, 16], lr: [1e-4, 1e-3]}")
    plan = run_plan(folder).stdout
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
    assert [run.settings["lora_alpha"] for run in planned_runs() if run.kind == "trained"] == [8, 8, 32, 32]


def test_the_hook_plans_a_hundred_runs(bake: Bake) -> None:
    folder = bake(factors=f"{{lora_rank: {[2, 4, 8, 16]}, lr: [1e-4, 2e-4, 3e-4, 4e-4, 5e-4], seed: {list(range(5))}}}")
    assert len(list(folder.glob("runs/r*/run.yaml"))) == 100
    assert len((folder / "runs.csv").read_text().splitlines()) == 102


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
