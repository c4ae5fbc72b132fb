"""The pipeline as a person runs it: a stamped experiment, its Makefile, DVC, kills. Real trainings, tiny ones."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.experiments import REPOSITORY, adapter, bake_small, edit, make, results, status_words, times
from helpers.processes import children_of, wait_until
from helpers.tiny_models import make_tiny_model
from warm.environment import REAL_ENVIRONMENT, use, warm_environment

RUNS = ("r2_s1", "r4_s1")
DATASET_PY = "ftexp/trainers/torchtune/components/dataset.py"


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small experiment, set up and not run: 2 ranks, 96 training rows, 3 epochs."""
    folder = bake_small(tmp_path_factory.mktemp("pipeline"), factors="{lora_rank: [2, 4], seed: [1]}")
    edit(folder / "experiment.yaml", "epochs: 2, batch_size: 32", "epochs: 3, batch_size: 16, lr: 3.0e-3")
    make(folder, "setup", f"VENV={warm_environment()}")
    return folder


@pytest.fixture(scope="session")
def finished(fresh: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same experiment after `make all`."""
    folder = _copy(fresh, tmp_path_factory.mktemp("finished"))
    make(folder, "all")
    return folder


def _copy(folder: Path, root: Path) -> Path:
    return Path(shutil.copytree(folder, root / folder.name, symlinks=True))


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished experiment, to be changed; on another path, so what is stamped with a path follows."""
    folder = _copy(finished, tmp_path)
    make(folder, "stamp")
    return folder


def test_make_all_fills_every_row(finished: Path) -> None:
    table = results(finished)
    assert list(table) == ["base", *RUNS]
    assert all(row["eval_status"] == "done" and row["score"] and row["n"] == "12" for row in table.values())
    assert all(table[run]["train_status"] == "done" and float(table[run]["train_loss"]) > 0 for run in RUNS)
    assert "://" not in (finished / "report.html").read_text(encoding="utf-8")


def test_a_second_make_all_changes_no_file(finished: Path) -> None:
    before = times(finished)
    make(finished, "all")
    after = times(finished)
    assert {name for name in {*before, *after} if before.get(name) != after.get(name)} <= {"events.jsonl"}


def test_dvc_repro_has_nothing_to_do_after_make_all(finished: Path) -> None:
    result = subprocess.run([".venv/bin/dvc", "status"], cwd=finished, capture_output=True, text=True, check=True)
    assert "up to date" in result.stdout, result.stdout
    before = times(finished)
    subprocess.run([".venv/bin/dvc", "repro", "--quiet"], cwd=finished, check=True)
    changed = {name for name, stamp in times(finished).items() if before.get(name) != stamp}
    assert not [name for name in changed if not name.startswith(".dvc/")]


def test_nothing_committed_holds_a_machines_path(finished: Path) -> None:
    command = ["git", "ls-files", "--others", "--cached", "--exclude-standard"]
    listed = subprocess.run(command, cwd=finished, capture_output=True, text=True, check=True).stdout.split()
    guilty = [name for name in listed if str(finished).encode() in (finished / name).read_bytes()]
    assert "runs/r2_s1/finetune.yaml" in listed and not guilty


def test_the_effects_are_in_git_and_the_answers_in_dvc(finished: Path) -> None:
    command = ["git", "ls-files", "--others", "--cached", "--exclude-standard"]
    listed = subprocess.run(command, cwd=finished, capture_output=True, text=True, check=True).stdout.split()
    assert {"effects.csv", "figures/effect-lora_rank.svg", "figures/effect-lora_rank.png"} <= set(listed)
    assert "items.parquet" not in listed and (finished / "items.parquet").is_file()
    lock = (finished / "dvc.lock").read_text(encoding="utf-8")
    assert all(f"path: {name}" in lock for name in ("effects.csv", "items.parquet", "figures", "experiment.yaml"))


def test_a_number_of_the_table_is_cited_down_to_its_log(finished: Path) -> None:
    said = make(finished, "cite", "RUN=r2_s1").stdout
    score = results(finished)["r2_s1"]["score"]
    assert f"score: '{score}'" in said and "lora_rank: 2" in said and "file: runs/r2_s1/eval/small.eval" in said
    refused = make(finished, "cite", "RUN=r3_s1", check=False)
    assert refused.returncode == 2 and "RUN: there is no run 'r3_s1'. Did you mean 'r" in refused.stderr


def test_after_a_new_level_dvc_repro_runs_only_the_new_runs_and_the_report(copy: Path) -> None:
    before = times(copy)
    edit(copy / "experiment.yaml", "lora_rank: [2, 4]", "lora_rank: [2, 4, 8]")
    make(copy, "repro")
    after, table = times(copy), results(copy)
    assert list(table) == ["base", *RUNS, "r8_s1"] and table["r8_s1"]["eval_status"] == "done"
    products = ("train.json", "eval.json", ".safetensors", ".eval")
    old = [name for name in before if name.startswith("runs/") and name.endswith(products)]
    assert len(old) == 10 and all(before[name] == after[name] for name in old)
    status = subprocess.run([".venv/bin/dvc", "status"], cwd=copy, capture_output=True, text=True, check=True)
    assert "up to date" in status.stdout


def test_a_removed_run_is_kept_and_not_reported(copy: Path) -> None:
    edit(copy / "experiment.yaml", "lora_rank: [2, 4]", "lora_rank: [2]")
    made = make(copy, "all")
    assert list(results(copy)) == ["base", "r2_s1"]
    assert (copy / "runs/r4_s1/checkpoint/adapter_model.safetensors").is_file()
    assert "not in the design (kept, not reported): r4_s1\n" in made.stderr


def test_what_changes_no_number_makes_nothing_stale(copy: Path) -> None:
    edit(copy / "site.yaml", "jobs: null", "jobs: 1")
    edit(copy / "experiment.yaml", "# any column of the data", "# another comment")
    with (copy / "scripts/ftexp/models/chat.py").open("a", encoding="utf-8") as file:
        file.write("\n# a comment\n")
    with (copy / "scripts/report.py").open("a", encoding="utf-8") as file:
        file.write("\nUNUSED = 1\n")
    assert status_words(copy) == {"done"}


@pytest.mark.parametrize(
    ("change", "stage", "reason"),
    [
        (lambda f: edit(f / "experiment.yaml", "lr: 3.0e-3", "lr: 1.0e-3"), "train", "finetune.yaml"),
        (lambda f: edit(f / "experiment.yaml", "max_tokens: 16", "max_tokens: 17"), "eval", "eval.py"),
        (
            lambda f: edit(f / f"scripts/{DATASET_PY}", "IGNORED_LABEL = -100", "IGNORED_LABEL = -100 + 0"),
            "train", "the code",
        ),
        (lambda f: edit(f / "data/models/tiny-instruct/config.json", "{", "{ "), "train", "the base model"),
    ],
)
def test_what_changes_a_number_makes_it_stale(copy: Path, change: Callable[[Path], None], stage: str, reason: str) -> None:
    change(copy)
    rows = [line.split(maxsplit=4) for line in make(copy, "status").stdout.splitlines()]
    concerned = [row for row in rows if row and row[0] in RUNS and row[1] == stage]
    assert len(concerned) == len(RUNS)
    assert all(row[2] == "stale" and reason in row[4] for row in concerned), concerned


def test_a_changed_data_file_is_noticed_until_it_is_split_again(copy: Path) -> None:
    raw = copy / "data/raw/words.json"
    raw.write_text(json.dumps(json.loads(raw.read_text(encoding="utf-8"))[:-10]), encoding="utf-8")
    assert status_words(copy) == {"waiting"}
    refused = make(copy, "submit", check=False)
    assert refused.returncode != 0 and "make split" in refused.stderr


def test_a_clone_of_the_committed_experiment_is_ready_after_setup_and_unchanged_by_it(copy: Path, tmp_path: Path) -> None:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", "add", "-A"], cwd=copy, check=True)
    subprocess.run(["git", *identity, "commit", "-qm", "results"], cwd=copy, check=True)
    clone = tmp_path / "a clone"
    subprocess.run(["git", "clone", "-q", str(copy), str(clone)], check=True)
    make(clone, "setup", f"VENV={warm_environment()}")
    make(clone, "split", "validate")
    changed = subprocess.run(["git", "status", "--porcelain"], cwd=clone, capture_output=True, text=True, check=True).stdout
    assert {line[3:] for line in changed.splitlines()} <= {"events.jsonl", "preflight.json"}, changed


def test_what_git_brings_back_is_not_an_edit_by_hand(copy: Path) -> None:
    path = copy / "experiment.yaml"
    before = path.read_text(encoding="utf-8")
    old = (copy / "runs/r2_s1/run.yaml").read_text(encoding="utf-8")
    edit(path, "max_tokens: 16", "max_tokens: 17")
    make(copy, "stamp")
    path.write_text(before.replace("max_tokens: 16", "max_tokens: 18"), encoding="utf-8")
    (copy / "runs/r2_s1/run.yaml").write_text(old, encoding="utf-8")
    make(copy, "stamp")


def test_without_an_environment_make_says_what_to_do(fresh: Path, tmp_path: Path) -> None:
    folder = _copy(fresh, tmp_path)
    (folder / ".venv").unlink()
    made = make(folder, "plan", check=False)
    assert made.returncode != 0 and "make setup" in made.stderr


def test_another_folder_of_models_needs_setup(fresh: Path, tmp_path: Path) -> None:
    folder = _copy(fresh, tmp_path)
    edit(folder / "site.yaml", "models: data/models", "models: /nowhere")
    made = make(folder, "validate", check=False)
    assert made.returncode != 0 and "site.yaml: models" in made.stderr and "make setup" in made.stderr


def test_a_gpu_that_is_asked_for_and_not_there_is_an_error(fresh: Path, tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    folder = _copy(fresh, tmp_path)
    edit(folder / "site.yaml", "device: auto", "device: cuda")
    made = make(folder, "split", "validate", "submit", check=False)
    assert made.returncode != 0 and "finds no GPU" in made.stderr


def test_submit_refuses_a_run_that_was_not_validated(fresh: Path, tmp_path: Path) -> None:
    folder = _copy(fresh, tmp_path)
    make(folder, "split")
    refused = make(folder, "submit", check=False)
    assert refused.returncode != 0 and "make validate" in refused.stderr
    assert not list(folder.glob("runs/*/train.json"))


def test_force_goes_through_a_red_preflight_and_the_results_say_so(fresh: Path, tmp_path: Path) -> None:
    folder = _copy(fresh, tmp_path)
    edit(folder / "experiment.yaml", "max_tokens: 16", "max_tokens: 2")
    red = make(folder, "split", "validate", check=False)
    message = "experiment.yaml: evaluation.max_tokens: is 2, but the longest reference answer has"
    assert red.returncode != 0 and message in red.stderr
    refused = make(folder, "submit", "eval", check=False)
    assert refused.returncode != 0 and "FORCE=1 goes on" in refused.stderr and not list(folder.glob("runs/*/train.json"))
    said = make(folder, "submit", "eval", "report", "FORCE=1")
    assert "Forced: 3 of 3 runs went on although `make validate` spoke against them" in said.stdout
    assert "to run what is missing" not in said.stderr
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert 0 < page.index("Forced: 3 of 3 runs") < page.index("<h2>")
    table = results(folder)
    assert len(table) == 3 and all(row["eval_status"] == "done" and row["n"] for row in table.values())
    for run, row in table.items():
        assert f"eval went on although its preflight said: {message}" in row["reason"]
        assert ("train went on" in row["reason"]) == (run != "base")
        assert message in json.loads((folder / f"runs/{run}/eval.json").read_text())["preflight"]


def test_a_failed_run_does_not_stop_the_others_and_is_tried_again(fresh: Path, tmp_path: Path) -> None:
    folder = _copy(fresh, tmp_path)
    edit(folder / "experiment.yaml", "lora_rank: [2, 4]\n  seed: [1]", "loss.num_output_chunks: [8, 0]")
    made = make(folder, "all", check=False)
    table = results(folder)
    assert made.returncode != 0 and "num-output-chunks-0: train failed" in made.stderr
    good, bad = table["num-output-chunks-8"], table["num-output-chunks-0"]
    assert good["eval_status"] == "done" and good["score"]
    assert (bad["train_status"], bad["eval_status"], bad["score"], bad["n"]) == ("failed", "waiting", "", "") and bad["reason"]
    assert "1 to do, 1 done" in make(folder, "submit", check=False).stderr


def start(folder: Path) -> subprocess.Popen[bytes]:
    """`make all` in a session of its own, so that all of it can be killed at once."""
    return subprocess.Popen(
        ["make", "all", "JOBS=2"], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


def wait_until_dead(folder: Path) -> None:
    """In the warm environment the server kills what a killed launcher stood for, a moment later."""
    until = time.monotonic() + 60
    while any(is_in(process, folder) for process in Path("/proc").glob("[0-9]*")):
        assert time.monotonic() < until, "something lives on"
        time.sleep(0.005)


def is_in(process: Path, folder: Path) -> bool:
    """Whether a process works in a folder."""
    try:
        return (process / "cwd").readlink().is_relative_to(folder)
    except OSError:  # it has ended, or is another user's
        return False


# In the order in which they come; each is first true after the one before it.
MOMENTS: dict[str, Callable[[Path], bool]] = {
    "while configs are validated": lambda f: bool(list(f.glob("data/splits/*/split.json"))),
    "in the first epoch": lambda f: bool(list(f.glob(".scratch/train/*/train.csv"))),
    "after an epoch is whole": lambda f: bool(list(f.glob(".scratch/train/*/recipe_state/recipe_state.pt"))),
    "after a checkpoint is in place": lambda f: bool(list(f.glob("runs/*/checkpoint"))),
    "while DVC records": lambda f: bool(list(f.glob("runs/*/dvc.lock"))),
    "while runs are evaluated": lambda f: bool(list(f.glob(".scratch/eval/*/logs/*.eval"))),
}


def test_killed_at_many_moments_make_all_gives_the_same_results(finished: Path, fresh: Path, tmp_path: Path) -> None:
    """kill -9 of everything, six times in one experiment; between an epoch's two files: test_training_components."""
    folder = _copy(fresh, tmp_path)
    for condition in MOMENTS.values():
        process = start(folder)
        wait_until(lambda now=condition: now(folder), process)  # type: ignore[misc]
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        wait_until_dead(folder)
    make(folder, "all")
    assert (folder / "results.csv").read_bytes() == (finished / "results.csv").read_bytes()
    for run in RUNS:
        name = f"runs/{run}/checkpoint/adapter_model.safetensors"
        assert (folder / name).read_bytes() == (finished / name).read_bytes()


def test_when_only_make_is_killed_the_next_call_waits_for_what_still_runs(finished: Path, fresh: Path, tmp_path: Path) -> None:
    folder = _copy(fresh, tmp_path)
    make(folder, "split", "validate")
    process = start(use(REAL_ENVIRONMENT, folder))
    wait_until(lambda: MOMENTS["in the first epoch"](folder), process)
    for child in children_of(process.pid):
        if b"submit.py" in Path(f"/proc/{child}/cmdline").read_bytes():
            os.kill(child, signal.SIGKILL)
    process.kill()
    process.wait()
    made = make(use(warm_environment(), folder), "all")
    assert "waiting for" in made.stderr
    assert (folder / "results.csv").read_bytes() == (finished / "results.csv").read_bytes()


def events(folder: Path) -> list[str]:
    """What was trained and evaluated, a line each time."""
    lines = [json.loads(line) for line in (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    return sorted(line["what"] for line in lines if line["what"].startswith(("train ", "eval ")))


@pytest.mark.slow
def test_of_two_make_all_at_once_one_waits_and_each_run_is_trained_and_evaluated_once(
    finished: Path, fresh: Path, tmp_path: Path
) -> None:
    folder = _copy(fresh, tmp_path)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    both = [subprocess.Popen(["make", "all"], cwd=folder, text=True, **quiet) for _ in range(2)]  # type: ignore[call-overload]
    said = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert "another make is at work here (train); waiting until it has ended" in "".join(said)
    assert events(folder) == ["eval base", "eval r2_s1", "eval r4_s1", "train r2_s1", "train r4_s1"]
    assert (folder / "results.csv").read_bytes() == (finished / "results.csv").read_bytes()
    assert [adapter(folder, run) for run in RUNS] == [adapter(finished, run) for run in RUNS]


def test_the_kill_of_an_evaluation_costs_its_run_only_and_that_until_the_next_call(copy: Path) -> None:
    use(REAL_ENVIRONMENT, copy)
    before = (copy / "results.csv").read_bytes()
    for path in copy.glob("runs/*/eval.json"):
        path.unlink()
    process = subprocess.Popen(["make", "eval", "JOBS=1"], cwd=copy, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    record = copy / "runs/base/eval.job.json"
    record.unlink()
    wait_until(record.is_file, process)
    os.kill(json.loads(record.read_text(encoding="utf-8"))["pid"], signal.SIGKILL)
    said = process.communicate()[1]
    assert process.returncode != 0 and "runs/base: eval failed: killed by SIGKILL (out of memory?)" in said
    assert said.count("failed: ") == 1 and [path.parent.name for path in sorted(copy.glob("runs/*/eval.json"))] == [*RUNS]
    make(use(warm_environment(), copy), "eval", "report")
    assert (copy / "results.csv").read_bytes() == before


def bare_tune_run(folder: Path, run: str, elsewhere: Path) -> bytes:
    """The adapter of the last epoch (of 3), by `tune run` with nothing set but PYTHONPATH=scripts."""
    environment = {name: value for name, value in os.environ.items() if name not in ("OMP_NUM_THREADS", "PYTHONPATH")}
    command = ["tune", "run", "lora_finetune_single_device", "--config", f"runs/{run}/finetune.yaml", f"output_dir={elsewhere}"]
    command[0] = str(REAL_ENVIRONMENT / "bin/tune")
    subprocess.run(command, cwd=folder, env={**environment, "PYTHONPATH": "scripts"}, check=True, capture_output=True)
    return (elsewhere / "epoch_2/adapter_model.safetensors").read_bytes()


def test_a_bare_tune_run_gives_the_pipelines_bytes_for_qwen(finished: Path, tmp_path: Path) -> None:
    assert bare_tune_run(finished, "r4_s1", tmp_path / "elsewhere") == adapter(finished, "r4_s1")


def test_a_bare_tune_run_gives_the_pipelines_bytes_for_llama(tmp_path: Path) -> None:
    make_tiny_model(tmp_path / "models/tiny-llama", "llama3_2", "llama3", is_sharded=True)
    folder = bake_small(tmp_path, factors="{lora_rank: [4], seed: [1]}", model=str(tmp_path / "models/tiny-llama"))
    edit(folder / "experiment.yaml", "epochs: 1, batch_size: 8, dtype: bf16", "epochs: 3, batch_size: 16, dtype: fp32")
    make(folder, "setup", f"VENV={warm_environment()}")
    make(folder, "split", "validate", "submit")
    assert bare_tune_run(folder, "r4_s1", tmp_path / "elsewhere") == adapter(folder, "r4_s1")


def test_merged_weights_give_the_logits_of_base_and_adapter(copy: Path) -> None:
    make(copy, "merge", "RUN=r4_s1")
    import torch
    from ftexp.evaluation.tuned_model import load_model

    base, ids = copy / "models/tiny-instruct", torch.arange(0, 60).reshape(2, 30)
    adapted = load_model(base, copy / "runs/r4_s1/checkpoint", "fp32", "cpu")
    merged = load_model(copy / "runs/r4_s1/merged", None, "fp32", "cpu")
    with torch.no_grad():
        assert torch.allclose(adapted(ids).logits, merged(ids).logits, atol=1e-3)
        assert not torch.allclose(load_model(base, None, "fp32", "cpu")(ids).logits, merged(ids).logits, atol=1e-1)


def test_make_lists_the_targets_in_the_order_of_the_pipeline(fresh: Path) -> None:
    listed = [line.split()[1] for line in make(fresh).stdout.splitlines() if line.startswith("make ")]
    after, last = ["cite", "power"], ["merge", "gc", "upgrade"]
    before_training = ["help", "setup", "plan", "stamp", "split", "validate", "rehearse"]
    assert listed == [*before_training, "submit", "status", "eval", "wait", "cancel", "report", *after, "all", "repro", *last]


def test_the_demo_answers_its_question() -> None:
    """`make demo`, as the README says: at once where it is done, and about 5 minutes where it is not."""
    made = make(REPOSITORY, "demo")
    table = results(REPOSITORY / "demo/capitalization")
    cells = {(row["lora_rank"], row["lr"]): float(row["score"]) for row in table.values() if row["kind"] == "trained"}
    assert len(table) == 9 and len(cells) == 4
    assert float(table["base"]["score"]) <= 0.10
    assert max(cells.values()) >= 0.80
    assert max(cells.values()) - min(cells.values()) > 0.3
    assert "report.html" in made.stdout
    assert "lr, averaged over lora_rank: 3e-3 instead of 1e-4 raises exact by" in made.stdout


def readme_lines(heading: str, language: str) -> list[str]:
    """The lines of the first block of code below a heading of the README."""
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8").partition(f"## {heading}\n")[2]
    return text.partition(f"```{language}\n")[2].partition("```")[0].splitlines()


def test_the_readmes_lines_load_a_finished_adapter(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import peft
    import torch
    import transformers
    from ftexp.evaluation.tuned_model import load_model

    monkeypatch.chdir(finished)
    lines = readme_lines("A finished adapter elsewhere", "python")
    assert len(lines) == 3
    names: dict[str, object] = {"peft": peft, "transformers": transformers}
    exec("\n".join(lines).replace("<model>", "tiny-instruct").replace("<id>", "r4_s1"), names)
    ids = torch.arange(0, 60).reshape(2, 30)
    ours = load_model(finished / "models/tiny-instruct", finished / "runs/r4_s1/checkpoint", "fp32", "cpu")
    with torch.no_grad():
        assert torch.allclose(names["model"](ids).logits, ours(ids).logits, atol=1e-4)  # type: ignore[operator]


def test_the_logs_are_published_by_the_command_of_the_experiments_readme(finished: Path, tmp_path: Path) -> None:
    text = (finished / "README.md").read_text(encoding="utf-8")
    command = next(line for line in text.splitlines() if " view bundle " in line).partition("#")[0].split()
    command[command.index("site")] = str(tmp_path / "site")
    subprocess.run(command, cwd=finished, check=True, capture_output=True)
    published = {path.name for path in (tmp_path / "site").rglob("*.eval")}
    assert (tmp_path / "site/index.html").is_file() and published == {"small.eval"}
    assert len(list((tmp_path / "site").rglob("*.eval"))) == 3
