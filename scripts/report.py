"""Builds the results table, the timings and the page that shows them; what is missing has a status and a reason.

Reads experiment.yaml, runs.csv, runs/*/{run.yaml, train.csv, eval/*.eval, *.json}, data/splits/*/split.json.
Writes results.csv, timings.csv, report.html.
Command: make report (python scripts/report.py)
"""

import csv
import datetime
import os
import shlex
import sys
from pathlib import Path
from typing import Any

from ftexp import paths
from ftexp.dvc_files import record_finished, record_report
from ftexp.errors import run_command
from ftexp.events import record_event
from ftexp.filesystem import read_json, sha256_file, sha256_json, write_if_changed, write_json
from ftexp.job_record import read_job
from ftexp.planning import folders_not_in_design, planned_runs
from ftexp.report_page import TEMPLATE_PATH, missing, render_page, shown_table, status_counts
from ftexp.results import (
    TIMING_COLUMNS,
    RunFacts,
    collect_contents,
    collect_states,
    csv_text,
    factor_names,
    results_header,
    results_rows,
)
from ftexp.spec import read_experiment
from ftexp.state import Work, stages_of
from ftexp.text_table import text_table

MEMORY_JSON = Path(".scratch/report.json")
OUTPUTS = (paths.RESULTS_CSV, paths.REPORT_HTML)


def main(arguments: list[str]) -> int:
    """Report; 0 even where something is missing, which is said on stderr."""
    paths.require_experiment()
    runs = planned_runs()
    work = Work.of_site()
    all_facts = collect_states(work, runs)
    work.hashes.save()
    write_if_changed(paths.TIMINGS_CSV, csv_text(TIMING_COLUMNS, timing_rows(runs)))
    key = _key(all_facts)
    if not _is_current(key):
        _build(all_facts, key)
    _show(len(runs))
    # DVC sets DVC_ROOT for what it runs itself, and holds that repository's lock then (3.67, stage/run.py).
    if Path(os.environ.get("DVC_ROOT", "/")).resolve() != Path.cwd():
        if work.queue:
            record_finished(work, runs)  # jobs do not; what ended since a command last looked
        record_report(runs)
    return 0


def _build(all_facts: list[RunFacts], key: str) -> None:
    """Write the table and the page, and remember from what."""
    experiment = read_experiment(paths.EXPERIMENT_YAML)
    full = [collect_contents(facts) for facts in all_facts]
    header = results_header(factor_names([facts.run for facts in full]))
    changed = write_if_changed(paths.RESULTS_CSV, csv_text(header, results_rows(full)))
    page = render_page(experiment, full, folders_not_in_design([facts.id for facts in full]))
    changed = write_if_changed(paths.REPORT_HTML, page) or changed
    write_json(MEMORY_JSON, {"key": key, "outputs": {str(path): sha256_file(path) for path in OUTPUTS}})
    if changed:
        record_event("report", status_counts(full))


def _key(all_facts: list[RunFacts]) -> str:
    """Hash of all that the table and the page are made from; manifests stand for logs and trainings."""
    files = [paths.EXPERIMENT_YAML, paths.RUNS_CSV, TEMPLATE_PATH, *sorted(TEMPLATE_PATH.parent.glob("*.py")), Path(__file__)]
    files += [paths.RunPaths(facts.id).manifest(stage) for facts in all_facts for stage in stages_of(facts.run)]
    files += sorted({paths.split_dir(facts.run["split"]) / "split.json" for facts in all_facts})
    states = [[facts.run, facts.cells, _pair(facts.train), _pair(facts.eval)] for facts in all_facts]
    extra = folders_not_in_design([facts.id for facts in all_facts])
    return sha256_json([[sha256_file(path) if path.is_file() else None for path in files], states, extra])


def _pair(state: Any) -> list[str] | None:
    return [state.status, state.reason] if state else None


def _is_current(key: str) -> bool:
    """Whether both outputs are there as this command wrote them from the same inputs."""
    if not MEMORY_JSON.is_file():
        return False
    try:
        known = read_json(MEMORY_JSON)
        return bool(known["key"] == key) and all(sha256_file(path) == known["outputs"][str(path)] for path in OUTPUTS)
    except (ValueError, KeyError, TypeError, FileNotFoundError):
        return False


def timing_rows(runs: list[dict[str, Any]]) -> list[list[str]]:
    """One row per stage that ran: run, stage, host, started (UTC, ISO 8601), seconds (empty where it did not end).

    Job records are not in git: for a stage without one here (in a clone), the row that timings.csv has stays.
    """
    before = {(row["run"], row["stage"]): row for row in _read_timings()}
    rows = []
    for run in runs:
        for stage in stages_of(run):
            job = read_job(run["run"], stage)
            if job is not None:
                started = datetime.datetime.fromtimestamp(job["started"], datetime.UTC).isoformat(timespec="seconds")
                rows.append([run["run"], stage, job["host"], started, str(job.get("seconds", ""))])
            elif (run["run"], stage) in before:
                rows.append([before[run["run"], stage][name] for name in TIMING_COLUMNS])
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
    print(text_table(*shown_table(header, rows)))
    gaps = missing(header, rows)
    if gaps:
        print(f"\nmissing or failed in {len(gaps)} of {run_count} runs:", file=sys.stderr)
    for gap in gaps:
        print(f"  runs/{gap['run']}: {_described(gap)}", file=sys.stderr)
    name = read_experiment(paths.EXPERIMENT_YAML).name
    print(f"\n{paths.REPORT_HTML.resolve()}")
    print(f"\nTo keep this state in git:\n  git add -A && git commit -m {shlex.quote(f'{name}: results')}")


def _described(gap: dict[str, str]) -> str:
    stages = [f"{stage} {gap[stage]}" for stage in ("train", "eval") if gap[stage] not in ("", "done")]
    return ", ".join(stages) + (": " if stages and gap["reason"] else "") + gap["reason"]


if __name__ == "__main__":
    run_command(main)
