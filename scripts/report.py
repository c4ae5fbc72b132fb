"""Says what each factor did, with its uncertainty: the tables, the figures and the page; what is missing has a reason.

Reads experiment.yaml, runs.csv, runs/*/{run.yaml, train.csv, eval/*.eval, *.json}, data/splits/*/*.
Writes scores/*/*.parquet, results.csv, cells.csv, effects.csv, items.parquet, timings.csv, figures/, metrics/, report.html.
Command: make report (python scripts/report.py)
"""

import csv
import gc
import os
import shlex
import sys
from pathlib import Path
from typing import Any

from ftexp.design.planning import folders_not_in_design, planned_runs
from ftexp.design.run import Run
from ftexp.design.spec import Experiment, read_experiment
from ftexp.evaluation.inspect_logs import UnusableLog, log_path, logs_not_counted
from ftexp.ground import paths
from ftexp.ground.errors import UserError, run_command
from ftexp.ground.events import record_event
from ftexp.ground.filesystem import (
    identity,
    read_json,
    sha256_file,
    sha256_json,
    write_bytes_if_changed,
    write_if_changed,
    write_json,
)
from ftexp.ground.text_table import text_table
from ftexp.jobs.backends import work_here
from ftexp.reporting.results_view import missing, of_primary, shown_table, status_counts
from ftexp.results.judge_runs import Judge
from ftexp.results.table import (
    TIMING_COLUMNS,
    RunFacts,
    collect_states,
    csv_text,
    results_header,
    tasks_done,
    with_contents,
)
from ftexp.scoring.score_files import score_file
from ftexp.state.dvc_files import record_finished, record_report
from ftexp.state.job_record import began_at, read_job
from ftexp.state.run_lock import only_one_make
from ftexp.state.status_words import State

MOST_LINES = 60


def main(arguments: list[str]) -> int:
    """Report; 0 even where something is missing, which is said on stderr."""
    paths.require_experiment()
    with only_one_make("report"):  # or an earlier one that takes longer would lay its older state over this one's
        return _report()


def _report() -> int:
    runs = planned_runs()
    work = work_here()
    all_facts = collect_states(work, runs)
    write_if_changed(paths.TIMINGS_CSV, csv_text(TIMING_COLUMNS, timing_rows(runs)))
    experiment = read_experiment(paths.EXPERIMENT_YAML)
    judge = Judge(experiment.evaluation, work.code["scoring"], work.hashes)
    _judge_quickly(judge, all_facts)
    work.hashes.save()
    key = _key(all_facts)
    if not _is_current(key):
        _build(all_facts, judge, experiment, key)
    _show(len(runs))
    # DVC sets DVC_ROOT for what it runs itself, and holds that repository's lock then (3.67, stage/run.py).
    if Path(os.environ.get("DVC_ROOT", "/")).resolve() != Path.cwd():
        if work.queue:
            record_finished(work, runs)  # jobs do not; what ended since a command last looked
        record_report(runs)
    return 0


def _judge_quickly(judge: Judge, all_facts: list[RunFacts]) -> None:
    """What no model and no code of one's own is asked for; the rest is for `make score`."""
    for run, task in tasks_done(all_facts):
        try:
            judge.score(run, task, is_quick=True)
        except UnusableLog:
            continue  # said when the answers are read


def _build(all_facts: list[RunFacts], judge: Judge, experiment: Experiment, key: str) -> None:
    """Write the tables, the figures and the page, and remember from what."""
    from ftexp.effects.errors import UnusableTable
    from ftexp.reporting.figures import write_figures
    from ftexp.reporting.metrics import write_metrics
    from ftexp.reporting.page import Findings, render_page
    from ftexp.reporting.scores import effects_csv, items_table, parquet_bytes
    from ftexp.reporting.selected_view import write_selected
    from ftexp.reporting.whole import whole_report
    from ftexp.results.cells import cells_csv
    from ftexp.results.recorded import recorded_answers

    recorded = recorded_answers(tasks_done(all_facts), judge, experiment.evaluation)
    full = with_contents(all_facts, recorded.unusable)
    try:
        report = whole_report(experiment, full, recorded)
    except UnusableTable as unusable:
        raise UserError(str(unusable)) from unusable
    header = results_header(list(experiment.factors), [facts.run for facts in all_facts])
    changed = write_if_changed(paths.RESULTS_CSV, csv_text(header, report.results))
    changed = write_if_changed(paths.CELLS_CSV, cells_csv(report.cells)) or changed
    changed = write_selected(report.selected) or changed
    changed = write_metrics(header, report.results) or changed
    changed = write_bytes_if_changed(paths.ITEMS_PARQUET, parquet_bytes(items_table(recorded))) or changed
    changed = write_if_changed(paths.EFFECTS_CSV, effects_csv(report.effects)) or changed
    figures, has_new_figures = write_figures(report.figures)
    logs = _logs_not_counted(experiment, full)
    extra = folders_not_in_design([facts.id for facts in full])
    page = render_page(experiment, full, Findings(report, recorded, extra, logs))
    changed = write_if_changed(paths.REPORT_HTML, page) or has_new_figures or changed
    outputs = {str(path): sha256_file(path) for path in [*report.files, *figures, *_metrics_files()]}
    texts = [conclusion.text for conclusion in report.conclusions]
    write_json(paths.REPORT_MEMORY_JSON, {"key": key, "outputs": outputs, "logs": logs, "conclusions": texts})
    if changed:
        record_event("report", status_counts(full))


def _metrics_files() -> list[Path]:
    return sorted(paths.METRICS_DIR.iterdir())


def _logs_not_counted(experiment: Experiment, all_facts: list[RunFacts]) -> list[tuple[str, str]]:
    """Every log in runs/ that fills no cell, and why."""
    found = []
    for facts in all_facts:
        if facts.eval.status in ("running", "submitted"):
            continue
        done = [task for task in facts.run.asked if facts.tasks[task.name].status == "done"]
        counted = [log_path(facts.id, asking) for task in done for asking in task.askings]
        found += logs_not_counted(facts.id, experiment.name, counted, {task: _why_none(s) for task, s in facts.tasks.items()})
    for folder in folders_not_in_design([facts.id for facts in all_facts]):
        found += logs_not_counted(folder, experiment.name, (), {}, "the run is not in the design")
    return found


def _why_none(state: State) -> str:
    """Why a log of a task does not count although nothing is wrong with the file."""
    if state.status == "done":
        return "another log of this task; eval.json vouches for one"
    return f"not while the evaluation is {state.status}" + (f" ({state.reason})" if state.reason else "")


def _key(all_facts: list[RunFacts]) -> str:
    """Hash of all that the tables and the page are made from; manifests stand for logs and trainings."""
    code = Path(__file__).parent
    files = [paths.EXPERIMENT_YAML, paths.RUNS_CSV, paths.TEMPLATE_JSON, *sorted((code / "ftexp").rglob("*.py"))]
    files += [code / "ftexp/reporting/page_template.html", Path(__file__)]
    files += [paths.RunPaths(facts.id).manifest(stage) for facts in all_facts for stage in facts.run.stages]
    files += sorted({path for facts in all_facts for path in _files_of_rows(facts.run)})
    files += [score_file(task, facts.id) for facts in all_facts for task in facts.run.tasks]
    states = [
        [facts.run.to_yaml(), facts.cells, _pair(facts.train), _pair(facts.eval), {n: _pair(s) for n, s in facts.tasks.items()}]
        for facts in all_facts
    ]
    extra = folders_not_in_design([facts.id for facts in all_facts])
    patterns = ("runs/*/eval/*", ".scratch/eval/*/logs/*")
    logs = [_size_and_time(path) for pattern in patterns for path in sorted(Path().glob(pattern))]
    return sha256_json([[sha256_file(path) if path.is_file() else None for path in files], states, extra, logs])


def _files_of_rows(run: Run) -> list[Path]:
    """What the page and the tables read of the rows that a run trains on and is asked."""
    return [path for name, part in run.row_sets for path in (paths.split_json(name, part), paths.split_part(name, part))]


def _size_and_time(path: Path) -> list[str | int]:
    return [str(path), *identity(path)]


def _pair(state: Any) -> list[str] | None:
    return [state.status, state.reason] if state else None


def _is_current(key: str) -> bool:
    """Whether every output is there as this command wrote it from the same inputs."""
    if not paths.REPORT_MEMORY_JSON.is_file():
        return False
    try:
        known = read_json(paths.REPORT_MEMORY_JSON)
        return bool(known["key"] == key) and all(sha256_file(Path(path)) == digest for path, digest in known["outputs"].items())
    except (ValueError, KeyError, TypeError, AttributeError, FileNotFoundError):
        return False


def timing_rows(runs: list[Run]) -> list[list[str]]:
    """One row per stage that ran: run, stage, host, started (UTC, ISO 8601), seconds (empty where it did not end).

    Job records are not in git: for a stage without one here (in a clone), the row that timings.csv has stays.
    """
    before = {(row["run"], row["stage"]): row for row in _read_timings()}
    rows = []
    for run in runs:
        for stage in run.stages:
            job = read_job(run.id, stage)
            if job is not None:
                rows.append([run.id, stage, job["host"], began_at(job), str(job.get("seconds", ""))])
            elif (run.id, stage) in before:
                rows.append([before[run.id, stage][name] for name in TIMING_COLUMNS])
    return rows


def _read_timings() -> list[dict[str, str]]:
    if not paths.TIMINGS_CSV.is_file():
        return []
    with paths.TIMINGS_CSV.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        return list(reader) if tuple(reader.fieldnames or ()) == TIMING_COLUMNS else []


def _show(run_count: int) -> None:
    """The table on stdout, what is missing on stderr, and what to type next."""
    with paths.RESULTS_CSV.open(encoding="utf-8", newline="") as file:
        header, *rows = list(csv.reader(file))
    memory = read_json(paths.REPORT_MEMORY_JSON)
    experiment = read_experiment(paths.EXPERIMENT_YAML)
    own, what = of_primary(header, rows, experiment.evaluation.primary)
    print(text_table(*shown_table(header, own[:MOST_LINES])))
    if len(own) > MOST_LINES:
        print(f"... {len(own) - MOST_LINES} more in {paths.RESULTS_CSV}")
    if what:
        print(f"\nThis is {what}")
    found = missing(header, rows)
    gaps = [f"runs/{gap['run']}: {_described(gap)}" for gap in found]
    _list(f"missing, failed or forced in {len({gap['run'] for gap in found})} of {run_count} runs:", gaps)
    if any({row[header.index("train_status")], row[header.index("eval_status")]} - {"", "done"} for row in rows):
        print("  to run what is missing: make submit eval report", file=sys.stderr)
    _list(f"logs that are not counted: {len(memory['logs'])}", [f"{path}: {reason}" for path, reason in memory["logs"]])
    print("".join(f"\n{text}" for text in memory["conclusions"]))
    print(f"\n{paths.REPORT_HTML.resolve()}")
    print(f"\nTo keep this state in git:\n  git add -A . && git commit -m {shlex.quote(f'{experiment.name}: results')} -- .")


def _list(title: str, lines: list[str]) -> None:
    """A list on stderr, where there is anything to say; the page has the whole of a long one."""
    if lines:
        print(f"\n{title}", file=sys.stderr)
    for line in lines[:MOST_LINES]:
        print(f"  {line}", file=sys.stderr)
    if len(lines) > MOST_LINES:
        print(f"  ... {len(lines) - MOST_LINES} more in {paths.REPORT_HTML}", file=sys.stderr)


def _described(gap: dict[str, str]) -> str:
    stages = [f"{stage} {gap[stage]}" for stage in ("train", "eval") if gap[stage] not in ("", "done")]
    return ", ".join(stages) + (": " if stages and gap["reason"] else "") + gap["reason"]


if __name__ == "__main__":
    gc.disable()  # a million answers live to the end; scanning them again and again took 10 of 40 s, and freed nothing
    run_command(main)
