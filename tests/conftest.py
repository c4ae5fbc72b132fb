"""What all tests share: the code under test on the path, and no trace of the machine that runs them."""

import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import written_tables
from warm.environment import REAL_ENVIRONMENT  # and one warm environment is named for all workers

REPOSITORY = Path(__file__).resolve().parents[1]
HOME = Path(tempfile.mkdtemp(prefix="ftexp-home-"))
ENVIRONMENT = REAL_ENVIRONMENT
# The longest first: two minutes to a quarter of one on two cores.
LONGEST = (
    "test_demo.py", "test_kills.py", "test_distributed.py", "test_transformers_processes.py", "test_both_trainers.py",
    "test_proofs.py", "test_transformers_training.py", "test_whole_rehearsals.py", "test_wandb.py", "test_upgrade.py",
    "test_browser.py", "test_evaluation.py", "test_unfinished_experiment.py", "test_report.py",
    "test_config_check.py", "test_by_hand.py", "test_changed_experiment.py", "test_designs_report.py", "test_warm.py",
    "test_training_components.py", "test_model_families.py", "test_finished_experiment.py",
)
# Files of which each test stands alone.
SPREAD = ("test_proofs.py", "test_both_trainers.py")
# Files, or the files of a folder, that share what is dear: one process runs them all.
TOGETHER = {"pipeline": "pipeline", **dict.fromkeys(("test_config_check.py", "test_checked_configs.py"), "configs")}
NOT_RUN = pytest.StashKey[Counter[str]]()
OUTDATED = pytest.StashKey[dict[str, list[str]]]()
HOW_TO_RUN = {
    "slurm": "tests on Slurm's daemons (make test-slurm, as root; make test-slow runs them too)",
    "slow": "tests that take a minute or more, the demo among them (make test-slow)",
}

# Before anything is imported: a ~/.cookiecutterrc of the machine must not answer questions, no hub must be asked.
os.environ.update(HF_HUB_OFFLINE="1", PYTHONDONTWRITEBYTECODE="1", HOME=str(HOME))
for _name in ("COOKIECUTTER_CONFIG", "XDG_CONFIG_HOME", "PYTHONPATH"):
    os.environ.pop(_name, None)
sys.dont_write_bytecode = True
sys.path.insert(0, str(REPOSITORY / "scripts"))

Bake = Callable[..., Path]


@pytest.fixture(scope="session", autouse=True)
def _remove_home() -> Iterator[None]:
    yield
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture
def bake(tmp_path: Path) -> Bake:
    """Bakes the template by cookiecutter's library: `bake(factors="{lora_rank: [4]}")` gives the new folder."""
    from cookiecutter.main import cookiecutter

    def run(**answers: str) -> Path:
        out = tmp_path / "baked"
        made = cookiecutter(str(REPOSITORY), no_input=True, extra_context=answers, output_dir=str(out), default_config=True)
        return Path(made)

    return run


@pytest.fixture(scope="session")
def baked_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A baked experiment of 2 x 2 runs as `make setup` leaves it, but not stamped; not to be changed."""
    from cookiecutter.main import cookiecutter

    answers = {"experiment_name": "mine", "factors": "{lora_rank: [4, 16], lr: [1e-4, 1e-3]}"}
    out = tmp_path_factory.mktemp("once")
    folder = Path(cookiecutter(str(REPOSITORY), no_input=True, extra_context=answers, output_dir=str(out), default_config=True))
    (folder / "models").symlink_to("data/models")
    (folder / ".venv").symlink_to(ENVIRONMENT)
    return folder


@pytest.fixture
def experiment(baked_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of `baked_once` for one test; the working folder."""
    folder = tmp_path / "mine"
    shutil.copytree(baked_once, folder, symlinks=True)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="session")
def reported_survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated experiment of three factors with one failed cell, reported; not to be changed."""
    from helpers.simulated_survey import make_survey

    folder = tmp_path_factory.mktemp("survey")
    make_survey(folder)
    return folder


@pytest.fixture
def survey(reported_survey: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of `reported_survey` for one test; the working folder."""
    shutil.copytree(reported_survey, tmp_path / "survey")
    monkeypatch.chdir(tmp_path / "survey")
    return Path.cwd()


@pytest.fixture(scope="module")
def outside_of_dvc() -> Iterator[None]:
    """No stage of DVC's around a module's reports, so that they record themselves."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DVC_ROOT", raising=False)
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest first, so that no process has nothing left to do while the other is in the midst of one."""
    order = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A file's tests share fixtures and stay in one process, but for those of SPREAD, and those that take minutes or wait.

    xdist 3.8 has marks for that, which pytest 9.2 no longer lets it use.
    """
    from xdist.scheduler import LoadScopeScheduling

    are_long = "not slow" not in config.option.markexpr

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = Path(nodeid.partition("::")[0])
            if are_long or file.name in SPREAD:
                return nodeid
            return TOGETHER.get(file.name) or TOGETHER.get(file.parent.name) or str(file)

    return ByFile(config, log)


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Remember what is not run."""
    for item in items:
        why = "slurm" if item.get_closest_marker("slurm") else "slow" if item.get_closest_marker("slow") else "picked out"
        item.config.stash.setdefault(NOT_RUN, Counter())[why] += 1


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object | None) -> None:
    """Every process collects, and leaves out, the same tests: one of them tells."""
    node.config.stash[NOT_RUN] = Counter(node.workeroutput.get("not_run", {})) if hasattr(node, "workeroutput") else Counter()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """What was not run, and how to run it."""
    left_out = config.stash.get(NOT_RUN, Counter())
    for why, how in HOW_TO_RUN.items():
        if left_out[why]:
            terminalreporter.write_line(f"not run: {left_out[why]} {how}")
    for page, lines in config.stash.get(OUTDATED, {}).items():
        terminalreporter.write_line(f"FAILED {page}: not what the tests found. To accept: make test WRITE=1", red=True)
        for line in lines:
            terminalreporter.write_line(line)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """The tables in docs/ against what the tests found, by the process that began the others."""
    if hasattr(session.config, "workerinput"):
        session.config.workeroutput["not_run"] = dict(session.config.stash.get(NOT_RUN, Counter()))
        return
    if exitstatus == 0:
        outdated = written_tables.outdated_tables(should_write="FTEXP_WRITE_TABLES" in os.environ)
        session.config.stash[OUTDATED] = outdated
        if outdated:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
    shutil.rmtree(written_tables.ROWS, ignore_errors=True)
