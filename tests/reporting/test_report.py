"""The report: its table, its page and its plots, on experiments made here, with real logs of inspect-ai."""

import html
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import report
from ftexp.data.items import Item, read_task_items
from ftexp.design.controls import controls_of
from ftexp.design.planning import read_run
from ftexp.evaluation.inspect_logs import Answer, UnusableLog, log_path, read_answers
from ftexp.ground import paths
from ftexp.results.table import number
from ftexp.state.publishing import write_manifest
from ftexp.state.work import Work, outputs_of
from helpers.fake_results import (
    edit_eval,
    finish_eval,
    finish_training,
    ids,
    make_report,
    plan,
    read_csv,
    record_job,
    results,
    write_log,
)

SCRIPTS = Path(report.__file__).parent
WORDS = [f"word{i:02d}" for i in range(40)]
EXPERIMENT = """
experiment: caps
question: Does <rank> matter & how?
data: {source: data/raw/words.json, split: {train: 0.5, test: 0.5, seed: 0}, input: input, output: output}
factors:
  lora_rank: [2, 16]
  lr: [1.0e-4, 3.0e-3]
  seed: [1, 2]
constants: {model: tiny, epochs: 2, batch_size: 2, dtype: fp32}
evaluation: {scorer: exact, max_tokens: 8}
"""


@pytest.fixture(autouse=True)
def _no_dvc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_ROOT", raising=False)


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A planned experiment, split, nothing trained."""
    root = tmp_path_factory.mktemp("planned")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        Path("data/raw").mkdir(parents=True)
        Path("data/raw/words.json").write_text(json.dumps([{"input": w, "output": w.title()} for w in WORDS]))
        Path("models/tiny").mkdir(parents=True)
        Path("models/tiny/config.json").write_text("{}")
        Path("models/tiny/model.safetensors").write_bytes(b"weights")
        plan(EXPERIMENT)
    return root


@pytest.fixture(scope="module")
def finished(planned: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with every run trained and evaluated, and reported once."""
    root = tmp_path_factory.mktemp("finished")
    shutil.copytree(planned, root, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        finish_all()
        make_report()
    return root


@pytest.fixture
def experiment(planned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the planned experiment; the working folder is its root."""
    return _enter_copy(planned, tmp_path, monkeypatch)


@pytest.fixture
def reported(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the finished and reported experiment; the working folder is its root."""
    return _enter_copy(finished, tmp_path, monkeypatch)


def _enter_copy(source: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(source, target, dirs_exist_ok=True)
    monkeypatch.chdir(target)
    return target


def finish_all() -> None:
    for number_of_run, run_id in enumerate(ids()):
        if run_id.startswith("base"):
            finish_eval(run_id, lambda i: i < 2)
        else:
            finish_training(run_id)
            finish_eval(run_id, lambda i, k=number_of_run: i % 9 < k)  # type: ignore[misc]


def test_results_have_exactly_the_rows_of_runs_csv(experiment: Path) -> None:
    make_report()
    assert [row["run"] for row in read_csv(paths.RESULTS_CSV)] == ids()
    finish_eval("base", lambda i: True)
    make_report()
    assert [row["run"] for row in read_csv(paths.RESULTS_CSV)] == ids()
    planned_cells = [list(row.values())[:5] for row in read_csv(paths.RUNS_CSV)]
    assert [list(row.values())[:5] for row in read_csv(paths.RESULTS_CSV)] == planned_cells


def test_the_columns_are_those_of_the_issue(experiment: Path) -> None:
    make_report()
    assert paths.RESULTS_CSV.read_text().splitlines()[0] == (
        "run,kind,lora_rank,lr,seed,train_status,eval_status,reason,task,metric,n,unscored,valid,score,score_se,majority,"
        "chance,diff_control,diff_control_se,train_loss"
    )


def test_a_missing_number_is_empty_with_status_and_reason(experiment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finish_eval("base", lambda i: False)
    failed, stale, untrained = ids()[1:4]
    record_job(failed, "train", "failed", "killed by SIGKILL", Work().inputs(read_run(failed), "train"))
    finish_training(stale)
    finish_eval(stale, lambda i: True)
    edit_eval(stale)
    make_report()
    rows, told, page = results(), capsys.readouterr().err, html.unescape(paths.REPORT_HTML.read_text())
    for run_id, train, evaluation, words in (
        (failed, "failed", "waiting", "killed by SIGKILL"), (stale, "done", "stale", "eval.py"),
        (untrained, "ready", "waiting", "make validate"),
    ):
        row = rows[run_id]
        assert (row["train_status"], row["eval_status"]) == (train, evaluation)
        assert words in row["reason"] and f"runs/{run_id}: " in told and f"<td>{row['reason']}</td>" in page
        numbers = ("n", "unscored", "valid", "score", "score_se", "diff_control", "diff_control_se")
        assert [row[name] for name in numbers] == [""] * 7
    assert rows[stale]["train_loss"] == "1.5" and rows[failed]["train_loss"] == ""
    assert rows["base"]["score"] == "0" and rows["base"]["train_status"] == ""


def test_logs_that_must_not_count_fill_no_cell_and_each_is_named(
    experiment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, broken, cancelled, foreign, elsewhere, truncated, replaced, older = ids()[1:9]
    for run_id in ids()[1:9]:
        finish_training(run_id)
    finish_eval(good, lambda i: True)
    finish_eval(broken, lambda i: True, status="error")
    finish_eval(cancelled, lambda i: True, status="cancelled")
    finish_eval(foreign, lambda i: True, owner=good)
    finish_eval(elsewhere, lambda i: True, experiment="another")
    finish_eval(truncated, lambda i: True)
    cut_log(truncated)
    finish_eval(replaced, lambda i: True)
    write_log(read_run(replaced), lambda i: False)
    finish_eval(older, lambda i: True)
    edit_eval(older)
    write_log(read_run(good), lambda i: False, path=Path(f"runs/{good}/eval/2025-01-01.eval"))
    write_log(read_run("base"), lambda i: True, status="started", path=Path(".scratch/eval/base/logs/now.eval"))
    write_log(read_run("base"), lambda i: True, path=Path("runs/r99/eval/test.eval"))
    make_report()
    rows, told, page = results(), capsys.readouterr().err, html.unescape(paths.REPORT_HTML.read_text())
    assert rows[good]["score"] == "1"
    assert [row["score"] for name, row in rows.items() if name != good] == [""] * 8
    named = dict(re.findall(r"^  (\S+\.eval): (.*)$", told, flags=re.MULTILINE))
    expected = {
        f"runs/{broken}/eval/test.eval": "has status error", f"runs/{cancelled}/eval/test.eval": "has status cancelled",
        f"runs/{foreign}/eval/test.eval": f"belongs to run {good}",
        f"runs/{elsewhere}/eval/test.eval": "belongs to experiment another",
        f"runs/{truncated}/eval/test.eval": "truncated",
        f"runs/{replaced}/eval/test.eval": "not while the evaluation is ready",
        f"runs/{older}/eval/test.eval": "changed: eval.py of task test",
        f"runs/{good}/eval/2025-01-01.eval": "another log of this task",
        ".scratch/eval/base/logs/now.eval": "has status started", "runs/r99/eval/test.eval": "belongs to run base",
    }
    assert set(named) == set(expected)
    for path, reason in expected.items():
        assert reason in named[path] and path in page, (path, named[path])
    assert "truncated" in rows[truncated]["reason"] and "status error" in rows[broken]["reason"]


def cut_log(run_id: str) -> None:
    """The log loses its end, and the manifest vouches for what is left: the disk was full when both were written."""
    path = log_path(run_id, "test")
    path.write_bytes(path.read_bytes()[:-40])
    write_manifest(run_id, "eval", Work().inputs(read_run(run_id), "eval"))


def test_a_log_without_an_answer_to_every_item_of_the_test_set_is_refused(experiment: Path) -> None:
    run = read_run("base")
    items = list(read_task_items(run.asked[0].test_set, run.data, None, []))
    finish_eval("base", lambda i: True, drop=1)
    vouched = outputs_of("base", "eval")
    with pytest.raises(UnusableLog, match=r"no answer to 1 of 20 items of the test set, for example \w+"):
        read_answers(run, "test", items, epochs=1, vouched=vouched)
    with pytest.raises(UnusableLog, match="1 items that are not in the test set"):
        read_answers(run, "test", items[2:], epochs=1, vouched=vouched)
    with pytest.raises(UnusableLog, match="no answer to 20 of 20"):
        read_answers(run, "test", [*"abcdefghijklmnopqrst"], epochs=1, vouched=vouched)


def test_an_answer_has_the_items_id_and_the_whole_text(experiment: Path) -> None:
    finish_eval("base", lambda i: i == 0)
    run = read_run("base")
    lines = [json.loads(x) for x in (paths.split_part(run.asked[0].test_set, "test")).read_text().splitlines()]
    items = read_task_items(run.asked[0].test_set, run.data, None, [])
    first, second = read_answers(run, "test", list(items), epochs=1, vouched=outputs_of("base", "eval"))[:2]
    row = lines[0]["row"]
    assert items[lines[0]["item"]] == Item(lines[0]["item"], row, row["input"], row["output"], lines[0]["item"], ())
    assert first == Answer(lines[0]["item"], 1, row["output"], True)
    assert second == Answer(lines[1]["item"], 1, "<b>no</b>", True)


def test_the_difference_in_the_table_is_against_the_runs_own_control(experiment: Path) -> None:
    wording = "wording: {plain: {prompt.user: '{input}'}, told: {prompt.user: 'caps {input}'}}"
    plan(EXPERIMENT.replace("lora_rank: [2, 16]", wording).replace("seed: [1, 2]", "seed: [1]"))
    pairs = controls_of([read_run(run_id) for run_id in ids()])
    controls = [run_id for run_id in ids() if run_id.startswith("base")]
    assert len(controls) == 2 and set(pairs.values()) == set(controls)
    for run_id, control in pairs.items():
        assert control and read_run(control).prompt == read_run(run_id).prompt
    finish_eval(controls[0], lambda i: False)
    finish_eval(controls[1], lambda i: True)
    for run_id in pairs:
        finish_training(run_id)
        finish_eval(run_id, lambda i: True)
    make_report()
    for run_id, control in pairs.items():
        assert results()[run_id]["diff_control"] == ("1" if control == controls[0] else "0")


def test_without_a_finished_control_the_difference_is_empty_and_says_why(experiment: Path) -> None:
    run_id = ids()[1]
    finish_training(run_id)
    finish_eval(run_id, lambda i: True)
    make_report()
    assert results()[run_id]["diff_control"] == "" and "its control base is ready" in results()[run_id]["reason"]
    finish_eval("base", lambda i: True, drop=3)
    make_report()
    assert results()[run_id]["diff_control"] == "" and "its control base is failed" in results()[run_id]["reason"]
    assert "no answer to 3 of 20 items" in results()["base"]["reason"]
    assert results()[run_id]["score"] == "1"


def test_train_loss_is_the_mean_of_the_last_epoch(experiment: Path) -> None:
    run_id = ids()[1]
    finish_training(run_id, (9.0, 9.0, 0.25, 0.5))
    make_report()
    assert results()[run_id]["train_loss"] == number(0.375) == "0.375"


def test_no_time_and_no_host_in_the_table_or_the_page(reported: Path) -> None:
    for path in (paths.RESULTS_CSV, paths.REPORT_HTML):
        assert "node1" not in path.read_text() and "12.5" not in path.read_text()
    timings = read_csv(paths.TIMINGS_CSV)
    assert len(timings) == 1 + 2 * 8
    assert list(timings[0]) == ["run", "stage", "host", "started", "seconds"]
    assert list(timings[0].values()) == ["base", "eval", "node1", "2025-06-15T15:06:40+00:00", "12.5"]


def test_timings_of_a_clone_without_job_records_stay(reported: Path) -> None:
    before = paths.TIMINGS_CSV.read_bytes()
    for path in Path("runs").glob("*/*.job.json"):
        path.unlink()
    make_report()
    assert paths.TIMINGS_CSV.read_bytes() == before


def test_report_opens_offline(reported: Path) -> None:
    page = paths.REPORT_HTML.read_text()
    assert "http://" not in page and "https://" not in page and "<script" not in page and "@import" not in page
    assert page.count("<svg") == 6 and "<img" not in page
    assert re.findall("<link[^>]*>", page) == ['<link rel="icon" href="data:,">']
    ids_in_page = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids_in_page) == len(set(ids_in_page))
    assert set(re.findall(r'(?:xlink:href="#|url\(#)([^")]+)', page)) <= set(ids_in_page)
    for target in re.findall(r'href="((?!data:)[^"#]+)"', page):
        assert Path(target).exists(), target


def test_what_models_and_people_write_is_escaped(reported: Path) -> None:
    page = paths.REPORT_HTML.read_text()
    assert "Does &lt;rank&gt; matter &amp; how?" in page and "&lt;b&gt;no&lt;/b&gt;" in page
    assert "<rank>" not in page and "<b>no" not in page


def test_the_page_shows_the_items_that_changed_most_with_the_answers_of_control_and_cells(reported: Path) -> None:
    section = paths.REPORT_HTML.read_text().partition("<h2>Items that changed most</h2>")[2].partition("<h2>")[0]
    assert len(re.findall(r'title="item ', section)) == 4 + 1  # the control is right on two items, on one so are all runs
    assert len(re.findall(r"<th>", section)) == 3 + 1 + 4
    assert "control base" in section and "lora_rank 16, lr 3e-3" in section
    changes = [float(text.replace("−", "-")) for text in re.findall(r'<td class="number">([−+0-9.]+)</td>', section)]
    assert changes[:4] == sorted(changes[:4], reverse=True) and changes[0] > 0 > changes[4] and changes[4:] == sorted(changes[4:])


def outputs() -> list[Path]:
    """What a report writes, timings aside."""
    return [*paths.REPORT_FILES, paths.ITEMS_PARQUET, *sorted(paths.FIGURES_DIR.iterdir())]


def test_same_inputs_same_bytes(reported: Path) -> None:
    before = {path: path.read_bytes() for path in outputs()}
    assert len(before) == 5 + 2 * 6
    paths.REPORT_MEMORY_JSON.unlink()
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(SCRIPTS), "MPLBACKEND": "agg"}
    for path in before:
        path.unlink()
    subprocess.run([sys.executable, str(SCRIPTS / "report.py")], check=True, env=environment, capture_output=True)
    assert {path: path.read_bytes() for path in outputs()} == before


def test_a_second_report_changes_nothing_and_still_prints_the_table(
    reported: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_report()
    first = capsys.readouterr().out
    times = {path: path.stat().st_mtime_ns for path in (*outputs(), paths.TIMINGS_CSV, paths.EVENTS_JSONL)}
    monkeypatch.setattr(report, "_build", lambda *_: pytest.fail("built again"))
    make_report()
    assert capsys.readouterr().out == first
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_an_output_that_was_edited_or_deleted_is_built_again(reported: Path) -> None:
    before = paths.RESULTS_CSV.read_bytes()
    paths.RESULTS_CSV.write_text("edited")
    make_report()
    assert paths.RESULTS_CSV.read_bytes() == before
    paths.RESULTS_CSV.unlink()
    make_report()
    assert paths.RESULTS_CSV.read_bytes() == before


def test_the_table_the_page_and_the_git_commands_are_on_stdout(reported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_report()
    out = capsys.readouterr().out
    assert all(run_id in out for run_id in ids())
    assert str(Path("report.html").resolve()) in out and "git add -A . && git commit -m 'caps: results' -- ." in out
    assert "0.100" in out


def test_nothing_is_recorded_while_dvc_runs_the_report(experiment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded: list[int] = []
    monkeypatch.setattr(report, "record_report", lambda runs: recorded.append(len(runs)))
    make_report()
    monkeypatch.setenv("DVC_ROOT", str(experiment))
    make_report()
    assert recorded == [9]


def test_a_run_folder_outside_the_design_is_named_and_not_reported(experiment: Path) -> None:
    Path("runs/r99_lr1e-4_s1").mkdir()
    make_report()
    assert "r99" not in paths.RESULTS_CSV.read_text() and "r99_lr1e-4_s1" in paths.REPORT_HTML.read_text()
