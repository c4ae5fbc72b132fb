"""make rehearse: a design made small and still the same, runs that stand for all, and a folder of its own."""

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY
from ftexp.design.planning import plan_runs
from ftexp.design.run import Run
from ftexp.design.runs import expand
from ftexp.design.spec import Experiment, check_experiment
from ftexp.ground.errors import UserError
from ftexp.ground.filesystem import read_json
from ftexp.ground.options import Options
from ftexp.ground.yamlfile import dump_yaml, parse_yaml
from ftexp.jobs.site import read_site
from ftexp.life.covering_set import FEW, covering_runs
from ftexp.life.rehearsal import LOG, TEST_ROWS, local_site, open_folder, trim_test_rows
from ftexp.life.small_design import changes_in_words, small_document, small_values

ROWS = [{"input": f"word {number}", "output": f"WORD {number}", "kind": number % 4} for number in range(200)]
WHAT = ("model", "recipe", "lora_rank", "lr", "loss", "seed", "max_seq_len")


@pytest.fixture(autouse=True)
def _data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in ("rows.json", "../outside.json"):
        Path(name).write_text(json.dumps(ROWS), encoding="utf-8")


def document(**changes: Any) -> dict[str, Any]:
    """An experiment.yaml of 100 training rows, as parsed."""
    made: dict[str, Any] = {
        "experiment": "e", "question": "Why?", "data": {"source": "rows.json", "split": {"train": 0.5, "test": 0.5}},
        "factors": {}, "constants": {"model": "tiny", "epochs": 3, "batch_size": 20}, **changes,
    }
    return parse_yaml(dump_yaml(made), "experiment.yaml")


def rehearsed(made: dict[str, Any]) -> tuple[Experiment, list[Run], Experiment, list[Run]]:
    """The design and its runs, and both again as they are rehearsed, read back from YAML."""
    experiment = check_experiment(made, "experiment.yaml")
    runs = plan_runs(experiment)
    text = dump_yaml(small_document(made, experiment, small_values(experiment, runs)))
    small = check_experiment(parse_yaml(text, "rehearsal/experiment.yaml"), "rehearsal/experiment.yaml")
    return experiment, runs, small, plan_runs(small)


DESIGNS: dict[str, dict[str, Any]] = {
    "one run": {},
    "settings that stay": {"factors": {"lora_rank": [4, 16], "lr": [1e-4, 1e-3], "seed": [1, 2]}},
    "epochs": {"factors": {"epochs": [1, 3, 10]}, "constants": {"model": "tiny"}},
    "epochs as a named factor": {
        "factors": {"length": {"short": {"epochs": 2, "lr": 1e-3}, "long": {"epochs": 9}, "usual": {"lr": 1e-4}}},
        "constants": {"model": "tiny"},
    },
    "train_size": {"factors": {"train_size": [40, None, 80]}},
    "train_size as shares": {"factors": {"train_size": [0.4, 0.6, 1.0]}, "baseline": {"train_size": 1.0}},
    "a constant share": {"constants": {"model": "tiny", "train_size": 0.6}},
    "shares of two corpora": {
        "data": {"split": {"train": 0.5, "test": 0.5}}, "constants": {"model": "tiny", "batch_size": 2}, "factors": {
            "corpus": {"in": {"data.source": "rows.json"}, "out": {"data.source": "../outside.json"}}, "train_size": [1.0, 0.1],
        },
    },
    "a constant train_size and warm-up": {"constants": {"model": "tiny", "train_size": 60, "warmup_steps": 5, "epochs": 9}},
    "warmup_steps": {"factors": {"warmup_steps": [0, 5, 10]}, "constants": {"model": "tiny", "epochs": 9}},
    "warm-up as a named factor": {
        "factors": {"warm": {"none": {"warmup_steps": 0}, "usual": {"lr": 1e-3}, "long": {"warmup_steps": 10}}},
        "constants": {"model": "tiny", "epochs": 9},
    },
    "warm-ups as shares": {"factors": {"warmup_ratio": [0.9, 0, 0.05, None]}, "constants": {"model": "tiny", "epochs": 9}},
    "a constant share of warm-up": {"constants": {"model": "tiny", "warmup_ratio": 0.8, "schedule": "linear"}},
    "shares and steps of warm-up": {
        "factors": {"warm": {"a": {"warmup_ratio": 0.5}, "b": {"warmup_steps": 3}, "c": {"weight_decay": 0.1}}},
        "constants": {"model": "tiny", "epochs": 9},
    },
    "batches": {
        "factors": {"batch_size": [1, 4, 16], "gradient_accumulation_steps": [1, 2]}, "constants": {"model": "tiny"},
    },
    "one batch in three ways": {
        "factors": {
            "memory": {
                name: {"batch_size": rows, "gradient_accumulation_steps": 16 // rows}
                for name, rows in (("small", 4), ("middle", 8), ("large", 16))
            },
        },
        "constants": {"model": "tiny"},
    },
    "everything about size": {
        "factors": {"epochs": [2, 4], "train_size": [30, 60], "warmup_steps": [1, 3], "batch_size": [5, 10]},
        "constants": {"model": "tiny"},
    },
    "models and precisions": {"factors": {"model": ["one", "org/two"], "dtype": ["bf16", "fp32"]}, "constants": {}},
    "prompts": {
        "factors": {
            "wording": {"plain": {"prompt.user": "{input}"}, "asked": {"prompt.user": "{kind}: {input}", "epochs": 4}},
            "lora_rank": [4, 8],
        },
        "constants": {"model": "tiny"},
    },
    "names and a baseline": {
        "factors": {"epochs": [1, 5], "lr": [1e-4, 1e-3]}, "constants": {"model": "tiny"}, "naming": {"epochs": "passes"},
        "baseline": {"epochs": 5, "lr": 1e-3},
    },
    "a distributed recipe": {"recipe": "full_finetune_distributed"},
    "two distributed recipes": {
        "factors": {"recipe": ["lora_finetune_distributed", "full_finetune_distributed"]}, "baseline": {
            "recipe": "full_finetune_distributed",
        },
    },
    "data from elsewhere": {
        "data": {}, "factors": {"corpus": {"in": {"data.source": "rows.json"}, "out": {"data.source": "../outside.json"}}},
    },
    "levels that stand alone": {"factors": {"epochs": 3, "lora_rank": 4, "lr": [1e-4, 1e-3]}, "constants": {"model": "tiny"}},
    "one at a time": {
        "factors": {"epochs": [1, 5, 9], "lr": [1e-4, 1e-3], "seed": [1, 2]}, "constants": {"model": "tiny"},
        "baseline": {"epochs": 5}, "design": "one_at_a_time",
    },
    "a list": {
        "factors": {"epochs": [1, 5], "wording": {"a": {"prompt.user": "{input}"}, "b": {"prompt.user": "? {input}"}}},
        "design": [{"epochs": 5, "wording": "b"}, {"wording": "b"}, {}], "constants": {"model": "tiny"},
    },
    "what is excluded": {
        "factors": {"batch_size": [4, 8], "lora_rank": [2, 4], "seed": [1, 2]}, "constants": {"model": "tiny"},
        "exclude": [{"batch_size": 8, "lora_rank": 4}, {"batch_size": 4, "seed": 2}],
    },
    "chosen on validation": {
        "factors": {"epochs": [1, 5], "lr": [1e-4, 1e-3]}, "constants": {"model": "tiny"},
        "data": {"source": "rows.json", "split": {"train": 0.5, "test": 0.5}, "validation": 0.2},
        "validation": {"every": 2, "patience": 1}, "select": {"by": "validation", "over": ["epochs", "lr"]},
    },
    "rows that hardly suffice": {
        "data": {"source": "rows.json", "split": {"train": 0.02, "test": 0.98}}, "constants": {"model": "tiny", "batch_size": 4},
    },
}


@pytest.mark.parametrize("changes", DESIGNS.values(), ids=DESIGNS)
def test_a_small_design_has_the_runs_of_the_real_one_and_every_run_can_be_trained(changes: dict[str, Any]) -> None:
    real, runs, small, small_runs = rehearsed(document(**changes))
    assert [run.id for run in small_runs] == [run.id for run in runs]
    assert not [problem for run in small_runs for problem in run.problems]
    for run, other in zip(runs, small_runs, strict=True):
        assert list(run.levels.values()) == list(other.levels.values())
        same = [name for name in WHAT if name != "recipe"]
        assert [run.settings[name] for name in same] == [other.settings[name] for name in same]
        assert (run.prompt, run.overrides, run.tasks) == (other.prompt, other.overrides, other.tasks)
        assert other.settings["epochs"] <= run.settings["epochs"] and other.steps.get("steps", 0) <= 40
        assert "distributed" not in other.settings["recipe"]
    assert set(small.baseline.values()) == set(real.baseline.values()) and "mean nothing: Why?" in small.question


@pytest.mark.parametrize("changes", DESIGNS.values(), ids=DESIGNS)
def test_runs_that_differ_differ_in_the_small_design_too(changes: dict[str, Any]) -> None:
    _, runs, _, small_runs = rehearsed(document(**changes))
    assert len({_trains(run) for run in runs}) == len({_trains(run) for run in small_runs})
    if len(_batches(runs)) == 1:
        assert len(_batches(small_runs)) == 1


def _batches(runs: list[Run]) -> set[int]:
    return {run.steps["effective_batch"] for run in runs if run.kind == "trained"}


def _trains(run: Run) -> str:
    """What a run trains and asks, wherever its data lies."""
    settings = {name: value for name, value in run.settings.items() if name != "train_size"}  # steps say how many rows
    return repr((run.kind, settings, run.steps, run.overrides, run.prompt, Path(run.data["source"]).name))


def test_what_becomes_small_is_small() -> None:
    _, _, _, runs = rehearsed(document(constants={"model": "tiny", "epochs": 30, "batch_size": 20, "dtype": "bf16"}))
    run = next(run for run in runs if run.kind == "trained")
    shown = {name: run.settings[name] for name in ("epochs", "batch_size", "train_size", "warmup_steps", "dtype")}
    assert shown == {"epochs": 1, "batch_size": 2, "train_size": 4, "warmup_steps": 0, "dtype": "fp32"}
    assert run.steps["steps"] == 2


def test_a_distributed_recipe_beside_its_counterpart_is_rehearsed_once() -> None:
    levels = ["lora_finetune_distributed", "lora_finetune_single_device"]
    _, runs, _, small_runs = rehearsed(document(factors={"recipe": levels, "seed": [1, 2]}, baseline={"recipe": levels[1]}))
    assert [run.id for run in runs if run not in small_runs][1:] and [run.id for run in small_runs] == [
        "base", "lora-finetune-distributed_s1", "lora-finetune-distributed_s2",
    ]


@pytest.mark.parametrize("design", [
    {"exclude": [{"recipe": "lora_finetune_distributed", "lora_rank": 16}]},
    {"design": "one_at_a_time", "baseline": {"recipe": "lora_finetune_single_device"}},
    {"design": [{}, {"recipe": "lora_finetune_single_device", "lora_rank": 16}]},
])
def test_levels_that_become_equal_leave_a_design_in_which_every_level_still_comes(design: dict[str, Any]) -> None:
    levels = ["lora_finetune_distributed", "lora_finetune_single_device"]
    _, runs, small, small_runs = rehearsed(document(factors={"recipe": levels, "lora_rank": [2, 16]}, **design))
    left = {(run.settings["recipe"], run.settings["lora_rank"]) for run in small_runs if run.kind == "trained"}
    ranks = {run.settings["lora_rank"] for run in runs if run.kind == "trained"}
    assert left == {("lora_finetune_single_device", rank) for rank in ranks} and len(small.factors["recipe_rehearsed"]) == 1


def test_the_summary_says_what_each_value_became() -> None:
    made = document(factors={"train_size": [None, 50], "epochs": [3, 1]}, constants={"model": "tiny"})
    experiment = check_experiment(made, "experiment.yaml")
    assert changes_in_words(small_values(experiment, plan_runs(experiment))) == [
        "epochs: 2 for 3", "batch_size: 2 for 8", "train_size: 4, 6 for 50, all", "dtype: fp32 for bf16",
    ]


LEVELS: list[dict[str, Any]] = [
    {"lora_rank": [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]},
    {"lora_rank": [2, 4, 8], "lr": [1e-4, 1e-3], "seed": list(range(30))},
    {"model": ["a", "b", "c"], "wording": {"x": {"prompt.user": "{input}"}, "y": {"prompt.user": "? {input}"}}, "lr": [1, 2, 3]},
    {"seed": list(range(20))},
]


@pytest.mark.parametrize("factors", LEVELS)
def test_the_runs_that_are_rehearsed_cover_every_level_with_their_controls(factors: dict[str, Any]) -> None:
    constants = {} if "model" in factors else {"model": "tiny"}
    runs = expand(check_experiment(document(factors=factors, constants=constants), "experiment.yaml"))
    chosen = covering_runs(runs, Options())
    assert [run for run in runs if run in chosen] == chosen
    for name, levels in factors.items():
        seen = {str(run.levels[name]) for run in chosen if run.kind == "trained"}
        assert seen == set(map(str, levels)) if name != "seed" else len(seen) == 2
    assert sum(run.kind == "trained" for run in chosen) <= max(len(levels) for levels in factors.values())
    models = {(run.settings["model"], run.prompt["user"]) for run in chosen if run.kind == "trained"}
    assert {(run.settings["model"], run.prompt["user"]) for run in chosen if run.kind == "control"} == models


def test_a_few_runs_are_all_rehearsed_and_only_narrows_them() -> None:
    made = document(factors={"lora_rank": [2, 4], "lr": [1e-4, 1e-3], "seed": [1, 2]})
    runs = expand(check_experiment(made, "experiment.yaml"))
    assert len(runs) == FEW + 1 and covering_runs(runs, Options()) == runs
    assert [run.id for run in covering_runs(runs, Options(only="r2_*_s1"))] == ["base", "r2_lr1e-4_s1", "r2_lr1e-3_s1"]
    assert [run.id for run in covering_runs(runs, Options(only="base"))] == ["base"]


def test_a_clusters_site_becomes_this_machines_and_stays_valid(tmp_path: Path) -> None:
    for profile in sorted((REPOSITORY / "sites").glob("*.yaml")):
        was = {**parse_yaml(profile.read_text(encoding="utf-8"), profile.name), "setup": "export A=1\nexport B=2"}
        (tmp_path / "site.yaml").write_text(dump_yaml(local_site(was, has_modules=True)), encoding="utf-8")
        site = read_site(tmp_path / "site.yaml")
        assert (site.backend, site.device, site.venv, site.sizes, site.setup) == ("local", "cpu", None, {}, was["setup"])
        assert [site.resources(stage, 10**11).gpus for stage in ("train", "eval")] == [0, 0]
        assert list(site.modules) == (was.get("modules") or []) and site.offline is True
        assert "modules" not in local_site(was, has_modules=False)


def test_what_is_chosen_keeps_its_factors_under_their_names_and_a_file_to_validate_by_is_found() -> None:
    made = {**document(**DESIGNS["chosen on validation"])}
    assert rehearsed(made)[2].select == ("epochs_rehearsed", "lr")
    Path("../own.json").write_text(json.dumps([{**row, "input": f"own {row['input']}"} for row in ROWS[:9]]), encoding="utf-8")
    made["data"]["validation"] = "../own.json"
    small = rehearsed(made)[3][-1]
    assert small.data["validation"] == str(Path("../own.json").resolve()) and small.validation["patience"] == 1


def test_test_rows_are_few_and_evenly_spaced() -> None:
    for name, count in (("many", 100), ("few", 3)):
        folder = Path("rehearsal/data/splits") / name
        folder.mkdir(parents=True)
        (folder / "test.jsonl").write_text("".join(f"{number}\n" for number in range(count)))
        (folder / "test.json").write_text(json.dumps({"rows": count, "sha256": "x"}))
        for name in ("test.jsonl", "test.json"):
            (folder / name.replace("test", "validation")).write_text((folder / name).read_text())
    trim_test_rows()
    kept = {name: Path(f"rehearsal/data/splits/{name}/test.jsonl").read_text().split() for name in ("many", "few")}
    assert kept == {"many": ["0", "12", "25", "37", "50", "62", "75", "87"], "few": ["0", "1", "2"]}
    facts = read_json(Path("rehearsal/data/splits/many/test.json"))
    text = Path("rehearsal/data/splits/many/test.jsonl").read_bytes()
    assert Path("rehearsal/data/splits/many/validation.jsonl").read_bytes() == text
    assert facts == {"rows": TEST_ROWS, "sha256": hashlib.sha256(text).hexdigest()}


def test_a_folder_that_is_not_ours_and_a_rehearsal_under_way_are_left_alone() -> None:
    Path("rehearsal").mkdir()
    Path("rehearsal/notes.txt").write_text("mine")
    with pytest.raises(UserError, match="rehearsal: was not made by `make rehearse`"):
        open_folder()
    Path("rehearsal/notes.txt").unlink()
    with open_folder() as log:
        print("begun", file=log, flush=True)
        Path("rehearsal/half").mkdir()
        child = subprocess.Popen(["sleep", "60"], stdout=log)
    try:
        with pytest.raises(UserError, match="rehearsal: a rehearsal is under way, or what a killed one began still ends"):
            open_folder()
        assert Path("rehearsal/half").is_dir() and LOG.read_text() == "begun\n"
    finally:
        child.kill()
        child.wait()
    with open_folder():
        assert [path.name for path in Path("rehearsal").iterdir()] == [LOG.name] and LOG.read_text() == ""
