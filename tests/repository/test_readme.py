"""The commands of the two READMEs: each is run here, or by the test that is named beside it."""

import re
import subprocess
from pathlib import Path

import pytest
from conftest import ENVIRONMENT, REPOSITORY
from ftexp.design.runs import expand
from ftexp.design.spec import check_experiment
from ftexp.ground.yamlfile import parse_yaml

PAGES = {"template": REPOSITORY / "README.md", "experiment": REPOSITORY / "{{cookiecutter.experiment_name}}/README.md"}
DEMO = "test_demo.py::test_the_demo_answers_its_question_as_the_readme_shows"
ALL = "test_finished_experiment.py::test_make_all_fills_every_row"
SETUP = "test_finished_experiment.py::test_a_clone_of_the_committed_experiment_is_ready_after_setup_and_unchanged_by_it"
PLAN = "test_template.py::test_the_plan_shows_runs_what_varies_what_is_constant_and_what_is_derived"
REHEARSE = "test_whole_rehearsals.py::test_a_clusters_experiment_is_rehearsed_and_nothing_of_it_is_touched"
BARE = "test_by_hand.py::test_a_bare_tune_run_gives_the_pipelines_bytes_for_qwen"
INSPECT = "test_evaluation.py::test_inspect_eval_needs_nothing_but_the_runs_file"
BUNDLE = "test_by_hand.py::test_the_logs_are_published_by_the_command_of_the_experiments_readme"
SLURM = "test_slurm_good_paths.py::test_all_targets_typed_at_once_complete_the_experiment"
PUSHED = "test_sharing.py::test_a_clone_gives_the_same_bytes_pulled_at_once_or_run_again"
HERE = "test_readme.py::test_the_commands_that_stamp_an_experiment_stamp_one"
# What needs a person, a browser, another machine or the internet.
NOT_HERE = "not run"
# Where each command of the two pages is run.
COMMANDS = {
    "make demo": DEMO,
    "make test": "test_readme.py::test_every_command_of_the_readmes_is_run_by_a_test",
    ".venv/bin/cookiecutter . --output-dir ~/experiments": HERE,
    ".venv/bin/cookiecutter . --no-input --output-dir ~/experiments experiment_name=reviews": HERE,
    "cd ": NOT_HERE,
    "make setup": SETUP,
    "make plan": PLAN,
    "make all": ALL,
    "make rehearse": REHEARSE,
    "make status": ALL,
    "hf download ": NOT_HERE,
    "rsync ": NOT_HERE,
    "cookiecutter gh:lab/ftexp site=slurm": NOT_HERE,
    "make setup plan split validate rehearse": REHEARSE,
    "make submit eval wait report": SLURM,
    "PYTHONPATH=scripts .venv/bin/tune run ": BARE,
    ".venv/bin/inspect eval runs/<id>/eval.py": INSPECT,
    ".venv/bin/inspect view --log-dir runs/<id>/eval": NOT_HERE,
    ".venv/bin/inspect view bundle ": BUNDLE,
    "git ": PUSHED,
    ".venv/bin/dvc remote add ": PUSHED,
    ".venv/bin/dvc push": PUSHED,
    ".venv/bin/dvc pull --allow-missing && make all": PUSHED,
}


def commands(page: Path) -> list[str]:
    """The command lines in a page's blocks of bash, continued lines joined, comments left out."""
    blocks = re.findall(r"```bash\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    lines = "".join(blocks).replace("\\\n", "").splitlines()
    return [re.sub(r"\s+", " ", re.split(r"\s+#\s", line)[0]).strip() for line in lines if line.strip()]


def where_run(command: str) -> str | None:
    """The value of the longest key that the command begins with, or is."""
    keys = [key for key in COMMANDS if f"{command} ".startswith(f"{key.strip()} ")]
    return COMMANDS[max(keys, key=len)] if keys else None


def test_every_command_of_the_readmes_is_run_by_a_test() -> None:
    found = [command for page in PAGES.values() for command in commands(page)]
    assert not [command for command in found if where_run(command) is None]
    files = {path.name: path for path in (REPOSITORY / "tests").rglob("test_*.py")}
    for key, where in COMMANDS.items():
        assert any(command.startswith(key) for command in found), f"no page has {key}"
        if where != NOT_HERE:
            file, _, test = where.partition("::")
            assert f"def {test}(" in files[file].read_text(encoding="utf-8"), where


def test_the_commands_that_stamp_an_experiment_stamp_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    rows = [f"{n},the film was {'good' if n % 2 else 'bad'} {n},{'yes' if n % 2 else 'no'}" for n in range(200)]
    (tmp_path / "reviews.csv").write_text("\n".join(["id,review,label", *rows]) + "\n", encoding="utf-8")
    stamping = [command for command in commands(PAGES["template"]) if where_run(command) == HERE]
    assert len(stamping) == 2
    for command in stamping:
        line = command.replace(".venv/bin/cookiecutter .", f"{ENVIRONMENT}/bin/cookiecutter {REPOSITORY}")
        made = subprocess.run(["bash", "-c", line], cwd=tmp_path, input="\n" * 8, capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stdout + made.stderr
    assert "8 runs (2 lora_rank x 2 lr x 2 seed)" in (tmp_path / "experiments/capitalization/README.md").read_text()
    assert "6 runs (2 wording x 3 seed)" in (tmp_path / "experiments/reviews/README.md").read_text()


def test_the_readmes_examples_of_experiment_yaml_are_taken() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGES["template"].read_text(encoding="utf-8"), flags=re.DOTALL)
    whole, one_at_a_time, listed, asked = (parse_yaml(block, "README.md") for block in blocks)
    experiment = check_experiment({"experiment": "mine", **whole}, "README.md")
    assert len(expand(experiment)) == 12 + 2
    factors = {"model": ["small", "large"], "lora_rank": [4, 16, 64], "lr": [1e-3, 3e-3]}
    other = {**whole, "experiment": "mine", "factors": factors, "constants": {"epochs": 1}}
    assert len(expand(check_experiment({**other, **one_at_a_time}, "README.md"))) == 1 + 1 + 2 + 1 + 2
    entries = [*listed["design"], {"model": "large"}, {"lora_rank": 64, "lr": 3e-3}]
    assert len(expand(check_experiment({**other, "design": entries}, "README.md"))) == 4 + 2
    assert len(expand(check_experiment({**other, "exclude": listed["exclude"]}, "README.md"))) == 12 - 2 + 2
    tasks = check_experiment({"experiment": "mine", **whole, **asked}, "README.md").evaluation.tasks
    assert {name: task["kind"] for name, task in tasks.items()} == {
        "test": "answer", "italian": "answer", "polite": "answer", "stance": "options", "arc": "inspect",
    }
