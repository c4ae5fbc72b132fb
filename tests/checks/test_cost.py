"""The cost of an experiment in words: ranges, sums, what jobs ask for, and what is not known."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from ftexp.checks import cost
from ftexp.checks.cost import Cost, Sizes, cost_in_words, cost_of
from ftexp.checks.measured_memory import measured_peaks, memory_in_words
from ftexp.design.run import Run
from ftexp.jobs.site import Site
from helpers.runs import a_run

SLURM = Site(backend="slurm", train={"time_min": 90, "gpus": 2}, eval={"time_min": 30, "gpus": 1})
LENGTHS = [10, 20, 30, 40, 50]


def run(name: str, **settings: Any) -> Run:
    """A run that trains on the first 4 of 5 rows, in steps of 2."""
    values = {
        "model": "tiny", "recipe": "lora_finetune_single_device", "dtype": "bf16", "lora_rank": 4, "epochs": 3,
        "train_size": None, **settings,
    }
    steps = {"train_rows": 4, "effective_batch": 2, "steps_per_epoch": 2, "steps": 2 * values["epochs"]}
    return a_run(name, settings=values, steps=steps)


@pytest.fixture(autouse=True)
def _small_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "model_parameters", lambda name: 7_000)


def costs(*runs: Run, lora_per_rank: int | None = 100) -> dict[str, Cost]:
    return {each.id: cost_of(each, Sizes(7_000, lora_per_rank), LENGTHS) for each in runs}


def test_a_cost_counts_the_rows_that_are_trained_on() -> None:
    [found] = costs(run("a")).values()
    assert (found.rows, found.rows_left_out, found.longest_row, found.tokens, found.steps) == (4, 1, 40, 3 * 100, 6)
    assert (found.parameters, found.trained_parameters) == (7_000, 400)
    assert found.disk_mb == 0.002, "an adapter is fp32 also where its base is bf16"


def test_a_full_fine_tune_trains_and_keeps_every_parameter() -> None:
    [found] = costs(run("a", recipe="full_finetune_single_device", dtype="fp32"), lora_per_rank=None).values()
    assert (found.trained_parameters, found.disk_mb) == (7_000, 0.028)


def test_what_a_train_size_leaves_is_left_out_by_the_steps_only() -> None:
    assert costs(run("a", train_size=0.8)) == costs(run("a", train_size=4))
    [found] = costs(run("a", train_size=4)).values()
    assert found.rows_left_out == 0


def test_ranges_and_sums_are_over_all_runs() -> None:
    runs = [run("a"), run("b", lora_rank=16, epochs=1)]
    said = cost_in_words({name: asdict(each) for name, each in costs(*runs).items()}, runs, Site(), {})
    lines = {line.strip().split("  ")[0]: line.split("  ")[-1].strip() for line in said.splitlines()[1:]}
    assert said.startswith("cost of 2 trainings:")
    assert lines["trained parameters"] == "400 to 1,600" and lines["parameters"] == "7,000"
    assert lines["tokens"] == "100 to 300 a run over all epochs, 400 in all" and lines["steps"] == "2 to 6 a run, 8 in all"
    assert lines["GPU hours"] == "none asked: site.yaml gives no job a GPU and a walltime"


def test_gpu_hours_are_walltime_by_gpus_by_jobs_of_both_stages() -> None:
    runs = [run("a"), replace(run("base"), kind="control")]
    said = cost_in_words({name: asdict(each) for name, each in costs(runs[0]).items()}, runs, SLURM, {})
    assert "at most 4.0: walltime x GPUs of 2 runs, evaluations included" in said  # 2 x 1.5 h, and twice 0.5 h


def test_memory_that_nobody_measured_is_said_to_be_unknown() -> None:
    for quantized, least in ((False, "; the base weights alone take 0.0 MB"), (True, "")):
        settings = {"quantize_base": True} if quantized else {}
        runs = [run("a", **settings)]
        said = cost_in_words({name: asdict(each) for name, each in costs(*runs).items()}, runs, Site(), {})
        assert said.endswith(f"not known: no training of this kind was measured on a GPU yet{least}")


def test_memory_is_that_of_finished_trainings_of_the_same_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runs = [run("a", seed=1), run("b", seed=2, lr=1e-3), run("c", seed=3), run("wide", lora_rank=64), run("other", lora_rank=64)]
    measured = {"a": ("10.0", "12.0"), "b": ("11.5",), "wide": ("20.0",), "other": ("30.0",)}
    for name, peaks in measured.items():
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "train.csv").write_text("step,peak_gb\n" + "".join(f"1,{peak}\n" for peak in peaks))
    assert measured_peaks(runs, {"a", "b"}) == {"a": 12.0, "b": 12.0, "c": 12.0}
    assert measured_peaks(runs, {"wide", "other"}) == {}, "10 GiB apart, they bear nothing out"
    assert measured_peaks(runs, {"wide"}) == {"wide": 20.0, "other": 20.0}
    assert memory_in_words(measured_peaks(runs, {"a", "b"}), 5, "; x") == (
        "12.0 GiB, measured in trainings of the same kind; not known of 2 others; x"
    )


def test_on_a_cpu_no_memory_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs/a").mkdir(parents=True)
    (tmp_path / "runs/a/train.csv").write_text("step,peak_gb\n1,\n")
    assert measured_peaks([run("a")], {"a"}) == {}
