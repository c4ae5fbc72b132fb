"""The design: ids that are a function of a run's own levels, controls, and what is derived."""

import json
from pathlib import Path
from typing import Any

import pytest
from ftexp.design.controls import controls_of
from ftexp.design.levels import number_text
from ftexp.design.planning import make_plan, runs_table
from ftexp.design.run import Run
from ftexp.design.runs import derive_steps, expand
from ftexp.design.spec import check_experiment
from ftexp.ground.errors import UserError
from ftexp.ground.yamlfile import parse_yaml

BASE = """
experiment: caps
question: Does rank matter?
data: {source: data/raw/words.json, input: input, output: output}
"""
MODEL = "constants: {model: tiny}\n"


def _runs(rest: str, kind: str = "trained") -> list[Run]:
    return [
        run for run in expand(check_experiment(parse_yaml(BASE + rest, "experiment.yaml"), "experiment.yaml")) if run.kind == kind
    ]


def _ids(rest: str, kind: str = "trained") -> list[str]:
    return [run.id for run in _runs(rest, kind)]


def _write_words(rows: int) -> None:
    Path("data/raw").mkdir(parents=True, exist_ok=True)
    Path("data/raw/words.json").write_text(json.dumps([{"input": f"w{i}", "output": f"W{i}"} for i in range(rows)]))


def test_an_id_is_abbreviation_and_level_in_declared_order() -> None:
    assert _ids(MODEL + "factors: {lora_rank: [16], lr: [3e-3], seed: [1]}") == ["r16_lr3e-3_s1"]
    assert _ids(MODEL + "factors: {seed: [1], lr: [3e-3], lora_rank: [16]}") == ["s1_lr3e-3_r16"]
    assert _ids(MODEL + "factors: {}") == ["run"]


def test_the_factorial_has_every_combination_once_the_last_factor_fastest() -> None:
    assert _ids(MODEL + "factors: {lora_rank: [2, 4], seed: [1, 2]}") == ["r2_s1", "r2_s2", "r4_s1", "r4_s2"]


@pytest.mark.parametrize("kind", ["trained", "control"])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("factors: {lora_rank: [2, 16], lr: [1e-4]}", "factors: {lora_rank: [1, 2, 16, 64], lr: [3e-5, 1e-4]}"),
        (
            "factors: {corpus: {a: {data.source: a.json}}}",
            "factors: {corpus: {b: {data.source: b.json, epochs: 9}, a: {data.source: a.json}}}",
        ),
        ("factors: {style: {a: {lr: 0.1}}}", "factors: {style: {a: {lr: 0.1}, b: {prompt.user: '{input}!'}}}"),
    ],
)
def test_adding_a_level_renames_no_run(before: str, after: str, kind: str) -> None:
    old, new = _runs(MODEL + before, kind), {run.id: run for run in _runs(MODEL + after, kind)}
    for run in old:
        assert (new[run.id].settings, new[run.id].data, new[run.id].prompt) == (run.settings, run.data, run.prompt)


def test_ids_are_a_function_of_own_levels() -> None:
    text = MODEL + "factors: {lora_rank: [2, 4, 8], lr: [1e-4, 1e-3], seed: [1, 2]}"
    for run in _runs(text):
        levels = ", ".join(f"{name}: [{level}]" for name, level in run.levels.items())
        assert _ids(MODEL + f"factors: {{{levels}}}") == [run.id]


@pytest.mark.parametrize(
    ("texts", "canonical"),
    [
        (("1e-4", "0.0001", "1.0E-4", "0.10e-3"), "1e-4"),
        (("16", "16.0", "1.6e1"), "16"),
        (("0.5", ".5", "5e-1"), "0.5"),
        (("0", "0.0", "-0.0"), "0"),
        (("3.0e-4",), "3e-4"),
        (("1.25e-5",), "1.25e-5"),
        (("2000000", "2e6"), "2e6"),
        (("0.1",), "0.1"),
        (("1e-10",), "1e-10"),
        (("1e-7", "0.0000001"), "1e-7"),
        (("-0.001",), "-1e-3"),
    ],
)
def test_numbers_in_ids_are_canonical(texts: tuple[str, ...], canonical: str) -> None:
    assert {number_text(parse_yaml(text, "x")) for text in texts} == {canonical}


@pytest.mark.parametrize("value", [1e-4, 0.1 + 0.2, 1 / 3, 123456.789, 1.0000000000000002, 5e-324, 1e22, 2**31 - 1])
def test_a_number_in_an_id_reads_back_as_itself(value: float) -> None:
    assert float(number_text(value)) == value


def test_an_id_holds_only_safe_characters() -> None:
    text = MODEL + """factors: {prompt style: {}, "corpus": {"a b/../$(c)": {data.source: a.json}, "é": {data.source: b.json}}}"""
    ids = _ids(text.replace("prompt style: {}, ", ""))
    assert ids == ["corpus-a-b-..---c-", "corpus--"]
    with pytest.raises(UserError, match="factors.prompt style: a named factor needs a name of its own"):
        _ids(text)


@pytest.mark.parametrize(
    "levels",
    [
        "{Small: {lr: 1e-4}, small: {lr: 1e-3}}",
        "{a b: {lr: 1e-4}, a-b: {lr: 1e-3}}",
        "{1: {lr: 1e-4}, '1': {lr: 1e-3}, 1.0: {lr: 1e-2}}",
    ],
)
def test_ids_that_are_equal_without_regard_to_case_are_refused(levels: str) -> None:
    with pytest.raises(UserError, match="two runs would share the folder|stands twice"):
        _ids(MODEL + f"factors: {{corpus: {levels}}}")


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        (MODEL + "factors: {corpus: {" + "x" * 130 + ": {lr: 0.1}}}", "is longer than 120 characters"),
        ("factors: {model: [tiny], loss: [full]}\nnaming: {model: '-'}", "must begin with a letter or digit"),
        ("factors: {loss: [full]}\nconstants: {model: tiny}\nnaming: {loss: '...'}", "must begin with a letter or digit"),
    ],
)
def test_an_id_that_no_folder_should_have_is_refused(factors: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        _ids(factors)


def test_naming_sets_the_abbreviation() -> None:
    assert _ids(MODEL + "factors: {lora_rank: [2], lr: [1e-4]}\nnaming: {lora_rank: rank, lr: ''}") == ["rank2_1e-4"]


def test_every_kind_of_factor_has_a_readable_id() -> None:
    text = (
        MODEL
        + "factors: {lora_modules: [[q, v]], loss: [full], optimizer.weight_decay: [0.1], compile: [true], "
        "corpus: {small: {lr: 1.0}}, max_seq_len: [null]}"
    )
    assert _ids(text) == ["q+v_full_weight_decay-0.1_compile-true_corpus-small_lnone".replace("weight_decay", "weight-decay")]


@pytest.mark.parametrize(
    ("rest", "ids"),
    [
        (MODEL + "factors: {lora_rank: [2, 4], seed: [1, 2]}", ["base"]),
        (MODEL + "factors: {lora_rank: [2]}\ncontrols: {base: false}", []),
        ("factors: {model: [org/a, b], lora_rank: [2, 4]}", ["base_org-a", "base_b"]),
        (MODEL + "factors: {dtype: [fp32, bf16]}", ["base_fp32", "base_bf16"]),
        (
            MODEL + "factors: {wording: {bare: {prompt.user: '{input}'}, told: {prompt.user: 'Upper: {input}'}}}",
            ["base_wording-bare", "base_wording-told"],
        ),
        (
            MODEL + "factors: {wording: {a: {prompt.user: '{input}', lr: 0.1}, b: {prompt.user: '{input}', lr: 0.2}}}",
            ["base_wording-a"],
        ),
        (MODEL + "factors: {corpus: {a: {data.source: a.json}, b: {data.source: b.json}}}", ["base_corpus-a", "base_corpus-b"]),
    ],
)
def test_there_is_one_control_per_distinct_model_prompt_and_test_set(rest: str, ids: list[str]) -> None:
    assert _ids(rest, "control") == ids


def test_training_files_that_share_a_test_file_share_a_control() -> None:
    text = BASE.replace("source: data/raw/words.json", "test: t.json") + MODEL
    text += "factors: {corpus: {a: {data.train: a.json}, b: {data.train: b.json}}}"
    control, *trained = expand(check_experiment(parse_yaml(text, "x"), "experiment.yaml"))
    assert controls_of([control, *trained]) == {run.id: "base" for run in trained}
    assert (control.id, control.data["train"], [run.data["train"] for run in trained]) == ("base", None, ["a.json", "b.json"])


def test_a_quantized_base_has_a_control_of_its_own_and_other_settings_do_not_know_of_it() -> None:
    text = MODEL + "factors: {quantize_base: [false, true], lora_rank: [2, 4]}"
    assert _ids(text) == ["nf4-false_r2", "nf4-false_r4", "nf4-true_r2", "nf4-true_r4"]
    controls = controls_of([*_runs(text, "control"), *_runs(text)])
    assert [controls[run.id] for run in _runs(text)] == ["base_nf4-false"] * 2 + ["base_nf4-true"] * 2
    assert ["quantize_base" in run.settings for run in _runs(text)] == [False, False, True, True]
    assert _ids("constants: {model: tiny, quantize_base: true}", "control") == ["base"]


def test_every_trained_run_finds_its_control() -> None:
    text = (
        "factors: {model: [a, b], wording: {bare: {prompt.user: '{input}'}, told: {prompt.user: 'Upper: {input}'}}, seed: [1, 2]}"
    )
    controls = {run.id: run for run in _runs(text, "control")}
    found = controls_of([*controls.values(), *_runs(text)])
    assert len(controls) == 4 and set(found.values()) == set(controls)
    for run in _runs(text):
        control = controls[str(found[run.id])]
        assert (control.settings["model"], control.prompt) == (run.settings["model"], run.prompt)


def _derived(rows: int, **settings: Any) -> Run:
    constants = ", ".join(f"{name}: {value}" for name, value in settings.items())
    run = _runs(f"constants: {{model: tiny, {constants}}}")[0]
    derive_steps(run, rows)
    return run


def test_lora_alpha_is_twice_the_rank_unless_it_is_set() -> None:
    assert [run.settings["lora_alpha"] for run in _runs(MODEL + "factors: {lora_rank: [2, 16]}")] == [4, 32]
    assert _derived(100, lora_rank=16, lora_alpha=8).settings["lora_alpha"] == 8


@pytest.mark.parametrize(
    ("rows", "settings", "steps", "warmup"),
    [
        (1000, {"batch_size": 8, "epochs": 2}, 250, 25),
        (1007, {"batch_size": 8, "epochs": 1}, 125, 12),
        (100_000, {"batch_size": 8, "epochs": 1}, 12500, 100),
        (1000, {"batch_size": 8, "epochs": 1, "gradient_accumulation_steps": 4}, 31, 3),
        (1000, {"batch_size": 8, "epochs": 1, "train_size": 80}, 10, 1),
        (1000, {"batch_size": 8, "epochs": 1, "train_size": 0.08}, 10, 1),
        (1000, {"batch_size": 8, "epochs": 1, "train_size": 1.0}, 125, 12),
        (100, {"batch_size": 1, "epochs": 1, "train_size": 0.29}, 29, 2),  # 0.29 * 100 is 28.999999999999996
        (8, {"batch_size": 8, "epochs": 1}, 1, 0),
        (1000, {"batch_size": 8, "epochs": 2, "warmup_steps": 7}, 250, 7),
        (1000, {"batch_size": 8, "epochs": 2, "warmup_ratio": 0.5}, 250, 125),
        (1000, {"batch_size": 8, "epochs": 2, "warmup_ratio": 0.03}, 250, 8),
        (1000, {"batch_size": 8, "epochs": 2, "warmup_ratio": 0}, 250, 0),
    ],
)
def test_steps_and_warmup_follow_from_rows_and_batch(rows: int, settings: dict[str, int], steps: int, warmup: int) -> None:
    run = _derived(rows, **settings)
    assert (run.steps["steps"], run.settings["warmup_steps"], run.problems) == (steps, warmup, [])
    effective = settings["batch_size"] * settings.get("gradient_accumulation_steps", 1)
    assert run.steps["effective_batch"] == effective
    assert run.steps["train_rows"] == run.steps["steps_per_epoch"] * effective <= rows


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"train_size": 0.001}, "train_size: 0.001 of 100 training rows is none; raise it"),
        ({"train_size": 101}, "train_size: is 101, but the split has 100 training rows; lower it"),
        (
            {"batch_size": 64, "gradient_accumulation_steps": 2},
            "batch_size: 128 rows a step, but there are only 100 training rows; lower batch_size",
        ),
        ({"batch_size": 10, "warmup_steps": 10}, "warmup_steps: is 10, but the training has 10 steps; lower it, or train longer"),
        (
            {"batch_size": 10, "warmup_ratio": 0.96},
            "warmup_ratio: is 0.96, which makes 10 steps, but the training has 10 steps; lower it, or train longer",
        ),
    ],
)
def test_what_the_rows_do_not_allow_is_a_problem_of_that_run(settings: dict[str, int], problem: str) -> None:
    assert _derived(100, **settings).problems == [problem]


def test_a_train_size_that_is_too_large_leaves_the_other_runs_usable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _write_words(100)
    Path("experiment.yaml").write_text(BASE + MODEL + "factors: {train_size: [40, 4000]}")
    experiment, runs = make_plan()
    assert [(run.id, bool(run.problems)) for run in runs] == [("base", False), ("n40", False), ("n4000", True)]
    table = runs_table(experiment, runs).splitlines()
    assert table[0] == "run,kind,train_size,train_rows,effective_batch,steps_per_epoch,steps,warmup_steps,lora_alpha,problem"
    assert table[2] == "n40,trained,40,40,8,5,5,0,16,"
    assert "the split has 80 training rows" in table[3]


def test_a_share_of_the_rows_has_an_id_of_its_own_and_is_nested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _write_words(70)  # 56 of them train
    Path("experiment.yaml").write_text(BASE + MODEL.replace("}", ", batch_size: 1}") + "factors: {train_size: [0.1, 0.5, 1.0]}")
    experiment, (_, *runs) = make_plan()
    assert [(run.id, run.steps["train_rows"]) for run in runs] == [("n0.1", 6), ("n0.5", 28), ("n1.0", 56)]
    assert [row.split(",")[2:4] for row in runs_table(experiment, runs).splitlines()[1:]] == [
        ["0.1", "6"], ["0.5", "28"], ["1.0", "56"]
    ]
    assert _ids(MODEL + "factors: {train_size: [1, 2]}") == ["n1", "n2"]
    assert _ids(MODEL + "factors: {size: {1.0: {train_size: 1.0}, 0.50: {train_size: 0.5}}}") == ["size-1.0", "size-0.5"]


def test_a_share_without_a_row_is_a_problem_of_that_run_and_not_all_rows() -> None:
    assert _derived(40, train_size=0.01).problems == ["train_size: 0.01 of 40 training rows is none; raise it"]


def test_a_design_without_a_usable_run_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _write_words(100)
    Path("experiment.yaml").write_text(BASE + MODEL + "factors: {train_size: [4000, 5000]}")
    with pytest.raises(UserError, match="no run is usable; n4000: train_size"):
        make_plan()


@pytest.mark.parametrize("rows", [[{"input": "a", "output": "A", "hint": "x"}], [{"input": "a", "output": "A"}]])
def test_a_prompt_names_columns_that_every_row_has(
    rows: list[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data/raw").mkdir(parents=True)
    words = [{"input": f"w{i}", "output": "W"} for i in range(40)]
    Path("data/raw/words.json").write_text(json.dumps([*words, *rows]))
    Path("experiment.yaml").write_text(BASE + MODEL + "prompt: {user: '{input} {hint}'}")
    with pytest.raises(
        UserError, match=r"prompt.user: \{hint\}: (unknown column. Did you mean 'input'|is no column of every row)"
    ):
        make_plan()


@pytest.mark.parametrize(("key", "message"), [
    ("cluster: passages", "must be a column that every test row has a value in, got 'passages'. Did you mean 'passage'"),
    ("cluster: hint", "evaluation.cluster: must be a column that every test row has a value in, got 'hint'"),
    ("groups: [hint]", "evaluation.groups: must be a column that every test row has a value in, got 'hint'"),
    ("groups: [passage]", r"evaluation.groups: must be a column of at most 50 values, got 'passage' with \d+"),
])
def test_effects_are_clustered_and_grouped_by_columns_of_every_test_row(
    key: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data/raw").mkdir(parents=True)
    rows = [{"input": f"w{i}", "output": "W", "passage": i, "hint": None if i % 2 else "x"} for i in range(800)]
    Path("data/raw/words.json").write_text(json.dumps(rows))
    Path("experiment.yaml").write_text(BASE + MODEL + f"evaluation: {{{key}}}")
    with pytest.raises(UserError, match=message):
        make_plan()
    Path("experiment.yaml").write_text(BASE + MODEL + "evaluation: {cluster: passage, groups: [output], metrics: [macro_f1]}")
    make_plan()


def test_macro_f1_is_for_labels_that_come_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _write_words(100)
    Path("experiment.yaml").write_text(BASE + MODEL + "evaluation: {metrics: [macro_f1]}")
    with pytest.raises(UserError, match=r"evaluation.metrics: macro_f1 needs 5 test rows a label, got \d+ rows with \d+ labels"):
        make_plan()


def test_named_levels_set_data_prompt_settings_and_torchtune_keys() -> None:
    text = (
        MODEL
        + """
factors:
  recipe mix: {}
  mix:
    a: {data.source: a.json, data.split: {train: 0.5, test: 0.5}, prompt.date: 2025-02-03, epochs: 7, optimizer.weight_decay: 0.5}
    b: {prompt.system: Be brief.}
"""
    )
    first, second = _runs(text.replace("  recipe mix: {}\n", ""))
    assert first.data["split"] == {"train": 0.5, "test": 0.5, "seed": 0, "stratify": None, "group": None}
    assert (first.data["source"], first.prompt["date"], first.settings["epochs"]) == ("a.json", "2025-02-03", 7)
    assert first.overrides == {"optimizer.weight_decay": 0.5}
    assert (second.prompt["system"], second.data["source"], second.overrides) == ("Be brief.", "data/raw/words.json", {})
    assert [run.levels for run in (first, second)] == [{"mix": "a"}, {"mix": "b"}]


def test_a_run_document_does_not_change_when_another_level_is_added() -> None:
    def document(factors: str) -> dict[str, Any]:
        experiment = check_experiment(parse_yaml(BASE + MODEL + factors, "x"), "x")
        return next(run.to_yaml() for run in expand(experiment) if run.id == "r2_s1")

    assert document("factors: {lora_rank: [2], seed: [1]}") == document("factors: {lora_rank: [2, 4], seed: [1, 2]}")
