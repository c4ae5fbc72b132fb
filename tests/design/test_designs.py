"""Which combinations of levels are runs: a factorial, one factor at a time, a list, and less what is excluded."""

import itertools
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import split as split_stage
import stamp as stamp_stage
import validate as validate_stage
from conftest import REPOSITORY
from ftexp.checks.design_check import check_comparisons
from ftexp.design.combinations import compared_strata
from ftexp.design.controls import controls_of
from ftexp.design.in_words import design_in_words
from ftexp.design.planning import planned_runs, runs_table
from ftexp.design.run import Run
from ftexp.design.runs import expand
from ftexp.design.spec import Experiment, check_experiment
from ftexp.ground import paths
from ftexp.ground.errors import UserError
from ftexp.ground.filesystem import read_json
from ftexp.ground.options import Options
from ftexp.ground.yamlfile import dump_yaml, parse_yaml
from ftexp.life.covering_set import covering_runs
from ftexp.reporting.page import design_in_words as design_on_page
from helpers.tiny_models import make_tiny_model

FACTORS: dict[str, Any] = {
    "model": ["small", "org/large"], "lora_rank": [2, 4, 16], "lr": [1e-4, 1e-3], "max_seq_len": [None, 64], "seed": [1, 2],
}
WORDINGS = {"plain": {"prompt.user": "{input}"}, "asked": {"prompt.user": "Upper: {input}"}}


def read(**sections: Any) -> Experiment:
    document = {
        "experiment": "e", "question": "Why?", "data": {"source": "a.json"}, "factors": FACTORS, "constants": {}, **sections,
    }
    if "model" not in document["factors"]:
        document["constants"] = {"model": "tiny", **document["constants"]}
    return check_experiment(parse_yaml(dump_yaml(document), "experiment.yaml"), "experiment.yaml")


def trained(**sections: Any) -> dict[str, Run]:
    """The trained runs by their ids."""
    return {run.id: run for run in expand(read(**sections)) if run.kind == "trained"}


def mistakes(**sections: Any) -> list[str]:
    with pytest.raises(UserError) as refused:
        read(**sections)
    return [message.removeprefix("experiment.yaml: ") for message in str(refused.value).splitlines()]


BASELINES: list[dict[str, Any]] = [{}, {"lora_rank": 4}, {"model": "org/large", "lr": 1e-3, "max_seq_len": 64}]


@pytest.mark.parametrize("baseline", BASELINES)
def test_one_at_a_time_is_the_baseline_cell_and_all_that_differ_from_it_in_one_factor(baseline: dict[str, Any]) -> None:
    runs = trained(design="one_at_a_time", baseline=baseline)
    base = {name: baseline.get(name, levels[0]) for name, levels in FACTORS.items() if name != "seed"}
    differing = [sum(run.levels[name] != level for name, level in base.items()) for run in runs.values()]
    assert sorted(differing) == [0] * 2 + [1] * 2 * (1 + 2 + 1 + 1)
    assert {run.levels["seed"] for run in runs.values()} == {1, 2}


@pytest.mark.parametrize("design", [
    {"design": "one_at_a_time"}, {"design": "one_at_a_time", "baseline": {"lora_rank": 16}},
    {"design": [{}, {"model": "org/large", "lora_rank": 4}, {"lora_rank": 16, "lr": 1e-3, "max_seq_len": 64, "seed": 2}]},
    {"exclude": [{"model": "org/large", "lora_rank": 16}, {"lr": 1e-3, "seed": 2}]},
])
def test_runs_of_any_design_are_runs_of_the_factorial_with_the_same_ids(design: dict[str, Any]) -> None:
    every = trained()
    runs = trained(**design)
    assert 0 < len(runs) < len(every)
    for name, run in runs.items():
        assert run == every[name]


@pytest.mark.parametrize("design", ["factorial", "one_at_a_time"])
@pytest.mark.parametrize("exclude", [
    [{"lr": 1e-3, "seed": 2}], [{"seed": 1, "lora_rank": 4}], [{"lora_rank": 4.0, "lr": 0.0001, "seed": 1}],
    [{"max_seq_len": None, "lora_rank": 16, "seed": 2}, {"model": "org/large", "seed": 1}],
])
def test_what_is_excluded_is_exactly_what_matches_all_keys_of_an_entry(design: str, exclude: list[dict[str, Any]]) -> None:
    every, left = trained(design=design), trained(design=design, exclude=exclude)
    matching = [
        name for name, run in every.items() if any(all(run.levels[key] == it for key, it in entry.items()) for entry in exclude)
    ]
    assert matching and [name for name in every if name not in matching] == list(left)


def test_an_entry_of_a_list_leaves_out_what_is_at_the_baseline_and_is_run_with_every_seed() -> None:
    factors = {"lora_rank": [2, 4, 16], "lr": [1e-4, 1e-3], "seed": [1, 2]}
    entries = [{"lora_rank": 16, "lr": 0.001}, {"lora_rank": 2.0, "seed": 2}, {"lr": 1e-4}]
    assert list(trained(factors=factors, design=entries, baseline={"lora_rank": 4})) == [
        "r16_lr1e-3_s1", "r16_lr1e-3_s2", "r2_lr1e-4_s2", "r4_lr1e-4_s1", "r4_lr1e-4_s2",
    ]
    assert list(trained(factors={"wording": WORDINGS}, design=[{"wording": "asked"}, {}])) == ["wording-asked", "wording-plain"]


@pytest.mark.parametrize("design", ["one_at_a_time", [{"lora_rank": 4}, {"lr": 1e-3}, {"lora_rank": 4, "lr": 1e-3}]])
def test_adding_a_level_renames_no_run_of_any_design(design: Any) -> None:
    before = {"lora_rank": [2, 4], "lr": [1e-4, 1e-3], "seed": [1]}
    after = {"lora_rank": [2, 4, 64], "lr": [1e-4, 1e-3], "seed": [1, 7]}
    added = design if isinstance(design, str) else [{"lora_rank": 64}, *design]
    old, new = trained(factors=before, design=design), trained(factors=after, design=added)
    for name, run in old.items():
        assert vars(run) == vars(new[name])


def test_a_control_that_no_remaining_run_needs_is_dropped() -> None:
    factors = {"model": ["a", "b"], "wording": WORDINGS, "seed": [1, 2]}
    def ids(**design: Any) -> list[str]:
        runs = expand(read(factors=factors, **design))
        controls = [run.id for run in runs if run.kind == "control"]
        assert set(controls_of(runs).values()) == set(controls)
        return controls

    every = ["base_a_wording-plain", "base_a_wording-asked", "base_b_wording-plain", "base_b_wording-asked"]
    assert ids() == every
    assert ids(exclude=[{"model": "b", "wording": "plain"}]) == [every[0], every[1], every[3]]
    assert ids(exclude=[{"model": "b", "wording": "plain", "seed": 1}]) == every
    assert ids(design="one_at_a_time") == every[:3]


@pytest.mark.parametrize("design", [
    "one_at_a_time", [*({"lora_rank": rank} for rank in (2, 4, 16)), {"model": "org/large", "lr": 1e-3}, {"max_seq_len": 64}],
])
def test_what_is_rehearsed_of_any_design_covers_every_level(design: Any) -> None:
    chosen = [run for run in covering_runs(expand(read(design=design)), Options()) if run.kind == "trained"]
    assert len(chosen) < len(trained(design=design))
    for name, levels in FACTORS.items():
        assert {run.levels[name] for run in chosen} == set(levels)


RANKS = {"lora_rank": [2, 16], "lr": [1e-4, 1e-3], "seed": [1, 2]}


@pytest.mark.parametrize(("sections", "messages"), [
    ({"design": "one_at_a_tim"}, ["design: must be factorial, one_at_a_time or a list of runs [{factor: level}, ...], got"]),
    ({"design": 2}, ["design: must be factorial, one_at_a_time or a list of runs"]),
    ({"design": []}, ["design: lists no run. Write [{factor: level, other: level}, ...]."]),
    ({"design": [{}, 3, None]}, [
        "design[1]: must be a mapping from factors to levels, got 3. Write {factor: level, other: level}.",
        "design[2]: must be a mapping from factors to levels, got None.",
    ]),
    ({"design": [{}, {}, {"lora_rnk": 2, "lr": 1e-2}]}, [
        "design[2].lora_rnk: unknown factor. Did you mean 'lora_rank'?",
        "design[2].lr: must be a level of the factor, got 0.01. Its levels: 0.0001, 0.001.",
    ]),
    ({"design": [{}, {"lora_rank": True}]}, ["design[1].lora_rank: must be a level of the factor, got True."]),
    ({"design": [{"lora_rank": 16}, {"lr": 1e-3}, {"lora_rank": 16.0, "lr": 0.0001}]}, [
        "design[2]: gives a run that design[0] gives already: lora_rank 16, lr 0.0001, seed 1. Remove one.",
    ]),
    ({"design": [{"lora_rank": 16}, {"lr": 1e-3}, {"lora_rank": 16, "seed": 2}]}, [
        "design[2]: gives a run that design[0] gives already: lora_rank 16, lr 0.0001, seed 2. Remove one.",
    ]),
    ({"design": [{}, {"lora_rank": 16, "seed": 1}]}, [
        "factors.lr: no run has the level 0.001. Remove it from the factor, or add an entry to design.",
    ]),
    ({"exclude": 1e-3}, ["exclude: must be a list of mappings from factors to levels, got 0.001."]),
    ({"exclude": [{}]}, ["exclude[0]: is empty, and so would remove every run. Name a level of a factor, or remove it."]),
    ({"exclude": [{"lora_rank": 8}, {"rank": 2}]}, [
        "exclude[0].lora_rank: must be a level of the factor, got 8. Its levels: 2, 16.",
        "exclude[1].rank: unknown factor. Did you mean 'lora_rank'?",
    ]),
    ({"exclude": [{"lora_rank": 16, "lr": 1e-3}], "design": "one_at_a_time"}, [
        "exclude[0]: matches no run, got lora_rank 16, lr 0.001. Remove it, or correct a level.",
    ]),
    ({"exclude": [{"lora_rank": 16}, {"lora_rank": 2}]}, ["exclude: removes every run. Remove an entry."]),
    ({"exclude": [{"lora_rank": 16}]}, [
        "factors.lora_rank: no run has the level 16. Remove it from the factor, or remove an entry of exclude.",
    ]),
    ({"exclude": [{"lora_rank": 2, "lr": 1e-4}], "design": "one_at_a_time"}, [
        "exclude: removes the baseline cell (lora_rank 2, lr 0.0001), with which one_at_a_time compares every other. Name",
    ]),
    ({"question": "", "design": [{"lora": 2}], "exclude": [5]}, [
        "question: must be a sentence", "design[0].lora: unknown factor", "exclude[0]: must be a mapping",
    ]),
    ({"factors": {"lora_ranks": [2], "lr": [1e-4]}, "design": [{"lora_ranks": 2}], "baseline": {}}, [
        "factors.lora_ranks: unknown factor. Did you mean 'lora_rank'?",
    ]),
])
def test_each_mistake_in_a_design_is_named_and_all_of_them_at_once(sections: dict[str, Any], messages: list[str]) -> None:
    found = mistakes(**{"factors": RANKS, **sections})
    assert len(found) == len(messages), found
    for message, wanted in zip(found, messages, strict=True):
        assert message.startswith(wanted)


def test_two_factors_that_set_one_key_are_told_to_become_one() -> None:
    factors = {"corpus": {"a": {"data.source": "a.json"}}, "skill": {"x": {"data.source": "b.json"}}}
    cure = "Keep one, or make one factor of the two, a named level for each combination."
    assert mistakes(factors=factors) == [f"factors.skill: sets 'data.source', which factor corpus sets too. {cure}"]


def test_a_baseline_and_an_entry_may_name_a_level_that_looks_like_a_date() -> None:
    text = dump_yaml({"factors": {"day": {}}}).replace("{}", "{2025-01-01: {lr: 1e-4}, 2025-06-01: {lr: 1e-3}}")
    text += "experiment: e\nquestion: q\ndata: {source: a.json}\nconstants: {model: tiny}\n"
    text += "baseline: {day: 2025-06-01}\ndesign: [{day: 2025-01-01}, {}]\n"
    runs = expand(check_experiment(parse_yaml(text, "experiment.yaml"), "experiment.yaml"))
    assert [run.id for run in runs] == ["base", "day-2025-01-01", "day-2025-06-01"]


@pytest.mark.parametrize(("sections", "lines"), [
    ({}, ["8 runs (2 lora_rank x 2 lr x 2 seed) and 1 control"]),
    ({"exclude": [{"lora_rank": 16, "lr": 1e-3}, {"lr": 1e-4, "seed": 1}]}, [
        "4 runs (2 lora_rank x 2 lr x 2 seed, less 4 excluded) and 1 control",
        "excluded: lora_rank 16, lr 0.001 (2 runs)", "excluded: lr 0.0001, seed 1 (2 runs)",
    ]),
    ({"design": "one_at_a_time", "baseline": {"lr": 1e-3}}, [
        "6 runs (one factor at a time from the baseline: 3 cells x 2 seed) and 1 control", "baseline: lora_rank 2, lr 0.001",
    ]),
    ({"design": [{}, {"lora_rank": 16, "lr": 1e-3}]}, [
        "4 runs (a list of 2 cells x 2 seed) and 1 control", "baseline: lora_rank 2, lr 0.0001",
    ]),
    ({"design": [{"lora_rank": 16, "seed": 1}, {"lr": 1e-3}]}, [
        "3 runs (a list of 2 cells) and 1 control",
        "baseline: lora_rank 2, lr 0.0001; no run is there, so that no run is compared with another",
    ]),
])
def test_the_plan_says_which_design_it_is_and_how_many_runs_there_are(sections: dict[str, Any], lines: list[str]) -> None:
    experiment = read(factors=RANKS, **sections)
    runs = expand(experiment)
    assert design_in_words(experiment, runs).splitlines()[: len(lines) + 1] == [*lines, "varies: lora_rank: 2, 16"]
    assert len(runs_table(experiment, runs).splitlines()) == 1 + len(runs) == 2 + int(lines[0].split()[0])
    page = design_on_page(experiment, runs)
    assert page.startswith(f"{lines[0].split()[0]} trained runs (") and page.count("excluded: ") == lines[0].count("less") * 2
    assert ("every combination" in page) == (not sections)


@pytest.mark.parametrize(("sections", "strata"), [
    ({}, {"lora_rank": 2, "lr": 2}), ({"exclude": [{"lora_rank": 16, "lr": 1e-3}]}, {"lora_rank": 1, "lr": 1}),
    ({"exclude": [{"lora_rank": 16, "lr": 1e-3, "seed": 1}]}, {"lora_rank": 2, "lr": 2}),
    ({"exclude": [{"lora_rank": 16, "lr": 1e-3}, {"lora_rank": 2, "lr": 1e-4}]}, {}),
    ({"design": "one_at_a_time"}, {"lora_rank": 1, "lr": 1}),
    ({"design": [{}, {"lora_rank": 16}, {"lora_rank": 16, "lr": 1e-3}]}, {"lora_rank": 1, "lora_rank, lr": 1}),
    ({"design": [{"lora_rank": 16}, {"lr": 1e-3}]}, {}),
])
def test_what_can_be_compared_is_counted_and_what_cannot_is_a_warning(sections: dict[str, Any], strata: dict[str, int]) -> None:
    experiment = read(factors=RANKS, **sections)
    assert compared_strata(experiment.factors, experiment.baseline, experiment.design) == strata
    warnings = check_comparisons(experiment)
    if strata:
        assert warnings == []
    elif "design" in sections:
        assert warnings == [
            "experiment.yaml: baseline: no run is at it (lora_rank 2, lr 0.0001), so a report will compare no run with another. "
            "Name the levels of one of the runs"
        ]
    else:
        assert [re.match(r"experiment.yaml: factors.(\w+): no two runs differ in it alone", it)[1] for it in warnings] == [
            "lora_rank", "lr",
        ]


CORPORA = {"letters": {"data.source": "data/raw/letters.json"}, "words": {"data.source": "data/raw/words.json"}}
TASKS = {name: {"data.output": name, "prompt.user": f"{name}: {{input}}"} for name in ("upper", "reverse", "first")}
GRID: dict[str, Any] = {
    "model": ["one", "two", "three"], "loss": ["completion", "full"], "corpus": CORPORA, "train_size": [4, 8, 12], "skill": TASKS,
    "memory": {
        "whole": {"batch_size": 4, "gradient_accumulation_steps": 1},
        "halves": {"batch_size": 2, "gradient_accumulation_steps": 2},
    },
}


def make_grid() -> None:
    """An experiment of 216 runs in the working folder, with tiny models of three families."""
    shutil.copy(REPOSITORY / "{{cookiecutter.experiment_name}}" / paths.JOB_TEMPLATE, paths.JOB_TEMPLATE)
    Path("scripts").symlink_to(REPOSITORY / "scripts")
    Path("data/raw").mkdir(parents=True)
    for name in CORPORA:
        words = [f"{a}{name[0]}{b}" for a, b in itertools.product("abcdef", repeat=2)]
        rows = [{"input": word, "upper": word.upper(), "reverse": word[::-1], "first": word[0]} for word in words]
        Path(f"data/raw/{name}.json").write_text(json.dumps(rows), encoding="utf-8")
    for model, family, template in (("one", "qwen2", "chatml"), ("two", "llama3_2", "llama3"), ("three", "gemma", "llama3")):
        make_tiny_model(Path("models") / model, family, template)
    document = {
        "experiment": "grid", "question": "What matters?", "data": {"split": {"train": 0.5, "test": 0.5}},
        "factors": GRID, "constants": {"lora_rank": 2, "epochs": 1, "dtype": "fp32"}, "evaluation": {"max_tokens": 16},
    }
    paths.EXPERIMENT_YAML.write_text(dump_yaml(document), encoding="utf-8")
    paths.SITE_YAML.write_text("backend: local\nmodels: models\ndevice: cpu\n", encoding="utf-8")


def test_models_losses_corpora_sizes_tasks_and_accumulations_are_one_design_that_validates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_grid()
    assert stamp_stage.main([]) == 0 and split_stage.main([]) == 0
    runs = planned_runs()
    assert validate_stage.main([]) == 0
    assert sum(run.kind == "trained" for run in runs) == 216
    assert sum(run.kind == "control" for run in runs) == 3 * 2 * 3
    assert len({repr((run.kind, run.settings, run.data, run.prompt)) for run in runs}) == len(runs)
    for run in runs:
        levels = run.levels
        assert run.data["source"] == f"data/raw/{levels['corpus']}.json" and run.data["output"] == levels["skill"]
        assert run.prompt["user"] == f"{levels['skill']}: {{input}}"
    assert read_json(paths.PREFLIGHT_JSON)["runs"].keys() == {run.id for run in runs}
