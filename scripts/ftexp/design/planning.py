"""The plan: experiment.yaml and the data, turned into runs.csv and one run.yaml for each run.

Only the standard library and PyYAML are imported here, because the cookiecutter hook runs this code too. Where
the data is parquet and pyarrow is absent, steps stay empty until `make plan`.
"""

import csv
import io
from pathlib import Path
from typing import Any

from ftexp.data.answers import Answers
from ftexp.data.cell_text import Row
from ftexp.data.conversations import answer_text
from ftexp.data.held_out import TrainingSet, training_items
from ftexp.data.prompts import placeholders, prompt_turns
from ftexp.data.splits import Half, Sources
from ftexp.design.fit_of_scores import AnswersOfTasks, answers_of_runs
from ftexp.design.heads import check_options_of_heads, check_untrained_answers, take_labels
from ftexp.design.levels import table_text
from ftexp.design.run import Run, Task
from ftexp.design.runs import derive_steps, expand, reject_all_failed
from ftexp.design.spec import Experiment, read_experiment
from ftexp.design.task_rows import check_graders, check_labels, check_tasks
from ftexp.design.trainings import share_trainings, training_sets
from ftexp.ground import paths
from ftexp.ground.errors import Findings, UserError, one_line
from ftexp.ground.filesystem import write_if_changed
from ftexp.ground.memories import YamlMemory
from ftexp.ground.wording import first_of
from ftexp.ground.yamlfile import dump_yaml, load_yaml

HEADER = "# Written by `make plan` from experiment.yaml. Edit that file, not this one.\n"
# Run folders that a line names.
MOST_NAMED = 8
DERIVED_COLUMNS = ("train_rows", "effective_batch", "steps_per_epoch", "steps", "warmup_steps", "lora_alpha")


class _RowsOfRuns:
    """The rows that runs train on and are asked; None where a file is parquet and pyarrow is absent."""

    def __init__(self, runs: list[Run]) -> None:
        self._sources = Sources()
        halves = {task.test_set: task.half for run in runs for task in run.asked if task.data}
        self.tests = {name: self._rows(half, "test") for name, half in halves.items()}
        self.trainings = {name: self._rows(wanted.half, "train") for name, wanted in training_sets(runs).items()}
        self.left: dict[str, list[Row] | None] = {}

    def _rows(self, half: Half, part: str) -> list[Row] | None:
        try:
            return self._sources.rows(half, part)
        except ImportError:
            return None

    def prompted(self, run: Run) -> list[tuple[str, dict[str, Any], str, str, list[Row] | None]]:
        """What a run renders prompts of: set of rows, prompt and the key that says it, input column, rows; no documents."""
        asked = [
            (task.test_set, task.prompt, task.prompt_key, task.data["input"], self.tests[task.test_set])
            for task in run.asked if task.is_prompted
        ]
        if run.is_control or run.data.get("text"):
            return asked
        trained = self.trainings[run.training_set]
        return [(run.training_set, run.prompt, "prompt.user", run.data["input"], trained), *asked]

    def hold_out(self, runs: list[Run]) -> None:
        """Keep in `left` the training rows that no test has."""
        self.left = {name: self._left(wanted) for name, wanted in training_sets(runs).items()}

    def _left(self, wanted: TrainingSet) -> list[Row] | None:
        try:
            return [item["row"] for item in training_items(self._sources, wanted).items]
        except ImportError:
            return None


def make_plan() -> tuple[Experiment, list[Run]]:
    """Read experiment.yaml and the data, and return the experiment with its runs, steps derived.

    Raises:
        UserError: With every mistake of experiment.yaml at once; nothing has been written then.
    """
    experiment = read_experiment(paths.EXPERIMENT_YAML)
    return experiment, plan_runs(experiment)


def plan_runs(experiment: Experiment) -> list[Run]:
    """The runs of an experiment, with everything that follows from the number of its rows, and which of them share a training.

    Raises:
        UserError: If the data cannot be used, a prompt names no column, or no run is usable.
    """
    return plan_with_answers(experiment)[0]


def plan_with_answers(experiment: Experiment) -> tuple[list[Run], AnswersOfTasks]:
    """The same, and per run and task the reference answers of its test set, where its data can be read here.

    Raises:
        UserError: As `plan_runs`.
    """
    runs = expand(experiment)
    rows = _RowsOfRuns(runs)
    _check_prompts(runs, rows)
    asked = {(task.name, task.test_set): (task, rows.tests[task.test_set]) for run in runs for task in run.asked if task.data}
    check_tasks(experiment.evaluation, list(asked.values()))
    check_graders(experiment.evaluation, runs)
    rows.hold_out(runs)
    answers = _answers(runs, rows, experiment)
    check_labels(experiment.evaluation, answers)
    for run in runs:
        items = None if run.is_control else rows.left[run.training_set]
        if items is not None:
            derive_steps(run, len(items))
    _take_labels(runs, rows, answers)
    share_trainings(runs)
    reject_all_failed(runs)
    return runs, answers


def _take_labels(runs: list[Run], rows: _RowsOfRuns, answers: AnswersOfTasks) -> None:
    """Give runs with a head their labels, by which their tasks are checked.

    Raises:
        UserError: If a column holds no labels, or an option, or most answers of a test, are none of them; a line for each cause.
    """
    found = Findings("experiment.yaml")
    for run in (run for run in runs if run.has_head):
        items, data = rows.left[run.training_set], run.data
        if items is not None:
            take_labels(found, run, (answer_text(row, data["input"], data["output"]) for row in items))
    found.messages = list(dict.fromkeys(found.messages))
    found.raise_if_any()
    check_options_of_heads(found, runs, rows.tests)
    if not found.messages:
        check_untrained_answers(found, runs, answers)
    found.raise_if_any()


def _answers(runs: list[Run], rows_of: _RowsOfRuns, experiment: Experiment) -> AnswersOfTasks:
    def answers_of(task: Task, test: str, train: str) -> Answers | None:
        asked, trained = rows_of.tests[test], rows_of.left[train] if train else []
        return None if asked is None or trained is None else Answers.of(_answer_texts(task, asked), _answer_texts(task, trained))

    return answers_of_runs(runs, experiment.evaluation, answers_of)


def _answer_texts(task: Task, rows: list[Row]) -> list[str]:
    return [answer_text(row, task.data["input"], task.data["output"]) for row in rows]


def _check_prompts(runs: list[Run], rows_of: _RowsOfRuns) -> None:
    """Every placeholder of every prompt is one column of the data it is used with, and every row can be asked."""
    found = Findings("experiment.yaml")
    different = {
        (name, repr(prompt)): (prompt, key, column, rows)
        for run in runs for name, prompt, key, column, rows in rows_of.prompted(run) if rows
    }
    for prompt, key, column, rows in different.values():
        for name in placeholders(prompt["user"]):
            if name == "input" != column and "input" in rows[0]:
                _add_two_inputs(found, key, column)
            elif name != "input" and name not in rows[0]:
                found.unknown(f"{key}: {{{name}}}", dict.fromkeys(["input", *map(str, rows[0])]), "column")
            elif name != "input" and not all(name in row for row in rows):
                advice = "Fill it in, or leave it out of the prompt."
                found.add(f"{key}: {{{name}}}", "is no column of every row of the data", advice)
    found.messages = list(dict.fromkeys(found.messages))  # runs on other rows of the same columns say the same
    found.raise_if_any()
    for prompt, _, column, rows in different.values():
        for row in rows:
            prompt_turns(prompt, column, row)


def _add_two_inputs(found: Findings, key: str, column: str) -> None:
    """`{input}` may mean either of two columns: both ways to say it are named."""
    what = f"stands for data.input, which is the column '{one_line(column)}', and the data has a column 'input' too"
    found.add(f"{key}: {{input}}", what, f"Write {{{column}}} for the one; to mean the other, set data.input: input.")


def plan_files(experiment: Experiment, runs: list[Run]) -> dict[Path, str]:
    """The text of runs.csv and of every run's run.yaml."""
    files = {paths.RunPaths(run.id).run_yaml: HEADER + dump_yaml(run.to_yaml()) for run in runs}
    return {paths.RUNS_CSV: runs_table(experiment, runs), **files}


def write_plan(experiment: Experiment, runs: list[Run]) -> list[Path]:
    """Write a new experiment's plan; return what changed."""
    return [path for path, text in plan_files(experiment, runs).items() if write_if_changed(path, text)]


def runs_table(experiment: Experiment, runs: list[Run]) -> str:
    """runs.csv: run, kind, one column per factor, what is derived, and a problem where there is one."""
    derived = [name for name in DERIVED_COLUMNS if name not in experiment.factors]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["run", "kind", *experiment.factors, *derived, "problem"])
    for run in runs:
        facts = {**run.settings, **run.steps} if run.kind == "trained" else {}
        levels = [table_text(run.levels.get(name, "")) for name in experiment.factors]
        further = [table_text(facts.get(name, "")) for name in derived]
        table.writerow([run.id, run.kind, *levels, *further, "; ".join(run.problems)])
    return text.getvalue()


def planned_runs() -> list[Run]:
    """The run.yaml of every run of runs.csv, in its order.

    Raises:
        UserError: If nothing is planned yet.
    """
    if not paths.RUNS_CSV.is_file():
        raise UserError(f"{paths.RUNS_CSV}: there is none yet. Run `make plan` first.")
    with paths.RUNS_CSV.open(encoding="utf-8", newline="") as file:
        ids = [row["run"] for row in csv.DictReader(file)]
    memory = YamlMemory(paths.RUN_DOCUMENTS_JSON)
    runs = [_run_of(memory.load(path), path) for path in (paths.RunPaths(run).run_yaml for run in ids)]
    memory.save()
    return runs


def read_run(run: str) -> Run:
    """The run.yaml of one run."""
    path = paths.RunPaths(run).run_yaml
    return _run_of(load_yaml(path, str(path)), path)


def _run_of(document: Any, path: Path) -> Run:
    """The run that a document describes.

    Raises:
        UserError: If it is no run.yaml.
    """
    try:
        return Run.from_yaml(document)
    except (TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{path}: is no run as `make plan` writes it. Delete it, and run `make plan`.") from error


def folders_not_in_design(runs: list[str]) -> list[str]:
    """Run folders that an earlier design left behind; they are kept, and neither reported nor deleted."""
    if not paths.RUNS_DIR.is_dir():
        return []
    return sorted(folder.name for folder in paths.RUNS_DIR.iterdir() if folder.is_dir() and folder.name not in set(runs))


def some_of(names: list[str]) -> str:
    """The first names, and how many more there are."""
    return first_of(names, MOST_NAMED)
