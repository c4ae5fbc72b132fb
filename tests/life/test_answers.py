"""Answers to the template's questions, and what is stamped from them."""

import json
import shutil
from pathlib import Path

import pytest
from conftest import REPOSITORY, Bake
from cookiecutter.exceptions import FailedHookException
from ftexp.design.spec import read_experiment
from ftexp.ground.yamlfile import load_yaml
from helpers.baking import DESIGN, bake_by_command, files_in, run_plan, write_words


def test_at_most_eight_questions_are_asked() -> None:
    questions = [key for key in json.loads((REPOSITORY / "cookiecutter.json").read_text()) if not key.startswith("_")]
    assert questions == ["experiment_name", "question", "data", "model", "factors", "design", "site"]


def test_a_relative_data_path_is_relative_to_the_callers_folder(tmp_path: Path) -> None:
    caller = tmp_path / "caller"
    write_words(caller / "my data")
    result = bake_by_command(
        REPOSITORY, caller, "data=my data/words.jsonl:word:capital", "experiment_name=mine", "factors={lr: [1e-4]}"
    )
    assert result.returncode == 0, result.stderr
    folder = caller / "out" / "mine"
    assert (folder / "data/raw/words.jsonl").read_bytes() == (caller / "my data/words.jsonl").read_bytes()
    shutil.rmtree(caller / "my data")
    assert run_plan(folder).returncode == 0
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
        "What is {{ nothing.here }}, {% raw %} and {# this #}?",
        "two\r\nlines\n",
        "\u2028 \x85 \ufeff \x00 \U0001f600",
        "back\\slash",
        "- dash",
        "'''\"\"\"",
    ],
)
def test_a_question_reads_back_as_it_was_asked(question: str, bake: Bake) -> None:
    assert read_experiment(bake(question=question, factors="{lr: [1e-4]}") / "experiment.yaml").question == question


def test_without_a_question_the_demo_keeps_its_own_and_anything_else_asks_what_its_factors_do(bake: Bake) -> None:
    assert read_experiment(bake() / "experiment.yaml").question.startswith("Does a higher LoRA rank or learning rate teach")
    folder = bake(experiment_name="other", factors="{lr: [1e-4, 1e-3], seed: [1]}")
    asked = "How does lr (1e-4, 1e-3) change the score (exact) on words?"
    assert read_experiment(folder / "experiment.yaml").question == asked and asked in (folder / "README.md").read_text()
    changed = (folder / "experiment.yaml").read_text().replace("[1.0e-4, 1.0e-3]", "[1.0e-4, 2.0e-3]").replace("1e-3", "2e-3")
    (folder / "experiment.yaml").write_text(changed.replace("0.001", "0.002"))
    assert "lr (1e-4, 2e-3)" in read_experiment(folder / "experiment.yaml").question


def test_a_design_is_stamped_from_a_file_with_its_comments_and_its_data(
    bake: Bake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_words(tmp_path / "old")
    (tmp_path / "old" / "experiment.yaml").write_text(DESIGN)
    monkeypatch.chdir(tmp_path)
    folder = bake(design="old/experiment.yaml", experiment_name="newer")
    wanted = (
        DESIGN.replace("experiment: other", "experiment: newer")
        .replace("words.jsonl", "data/raw/words.jsonl")
        .replace("few.j", "data/raw/few.j")
    )
    assert (folder / "experiment.yaml").read_text() == wanted
    assert files_in(folder / "data/raw") == {"words.jsonl", "few.jsonl"}
    shutil.rmtree(tmp_path / "old")
    plan = run_plan(folder)
    assert plan.returncode == 0 and "4 runs (2 lora_rank x 2 corpus) and 2 controls" in plan.stdout, plan.stderr


def test_a_design_comes_with_its_chat_templates_or_says_which_is_not_there(
    bake: Bake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_words(tmp_path / "old")
    text = f"{DESIGN}prompt: {{template: of/own.jinja}}\n"
    (tmp_path / "old" / "experiment.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FailedHookException, match=r"design: prompt\.template: there is no file 'of/own\.jinja' beside old/\."):
        bake(design="old/experiment.yaml", experiment_name="newer")
    (tmp_path / "old" / "of").mkdir()
    (tmp_path / "old" / "of" / "own.jinja").write_text("{{ messages }}")
    (tmp_path / "old" / "of" / "other.jinja").touch()
    folder = bake(design="old/experiment.yaml", experiment_name="newer")
    assert files_in(folder / "of") == {"own.jinja"} and (folder / "of/own.jinja").read_text() == "{{ messages }}"


def test_a_baked_experiment_is_a_design(bake: Bake) -> None:
    first = bake(experiment_name="first", factors="{lora_rank: [2]}")
    second = bake(experiment_name="second", design=str(first / "experiment.yaml"))
    assert (second / "experiment.yaml").read_text() == (first / "experiment.yaml").read_text().replace("first", "second")


def test_one_at_a_time_is_an_answer_and_first_levels_are_the_baseline(bake: Bake) -> None:
    folder = bake(design="one_at_a_time", factors="{lora_rank: [2, 4, 16], lr: [1e-4, 1e-3], seed: [1, 2]}")
    assert "\ndesign: one_at_a_time\n" in (folder / "experiment.yaml").read_text()
    words = "8 runs (one factor at a time from the baseline: 4 cells x 2 seed) and 1 control\nbaseline: lora_rank 2, lr 0.0001\n"
    plan = run_plan(folder)
    assert plan.returncode == 0 and words in plan.stdout and words in (folder / "README.md").read_text()
    assert len((folder / "runs.csv").read_text().splitlines()) == 1 + 9


def test_a_file_with_a_list_and_what_it_excludes_is_stamped_as_it_is(
    bake: Bake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_words(tmp_path / "old")
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


@pytest.mark.parametrize("validation", [False, True])
def test_a_file_that_is_split_already_is_stamped_without_a_split_and_its_validation_part_is_used(
    validation: bool, tmp_path: Path
) -> None:
    rows = [{"input": f"w{n}", "output": f"W{n}"} for n in range(80)]
    parts = {"train": rows[:64], "test": rows[64:]}
    if validation:
        parts["validation"] = [{"input": f"v{n}", "output": f"V{n}"} for n in range(8)]
    (tmp_path / "parts.json").write_text(json.dumps(parts))
    result = bake_by_command(REPOSITORY, tmp_path, f"data={tmp_path / 'parts.json'}", "experiment_name=parts")
    assert result.returncode == 0, result.stderr
    document = load_yaml(tmp_path / "out/parts/experiment.yaml")
    assert "split" not in document["data"] and document.get("validation") == ({} if validation else None)
