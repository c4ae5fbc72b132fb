"""The evaluation section of experiment.yaml: its tasks, by what each is judged, and which runs are asked which.

Only the standard library is imported here, because the cookiecutter hook runs this code too.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from ftexp.design.documents import check_judged_documents
from ftexp.design.factors import Level
from ftexp.design.judging import (
    DEFAULT_SCORER,
    ITEM_PERPLEXITY,
    METRICS,
    NEEDS_REFERENCE,
    NORMALIZATIONS,
    OF_TEXTS,
    PERPLEXITY,
    Scorer,
    check_metrics,
    check_scorers,
)
from ftexp.design.levels import label_text
from ftexp.design.sections import ALL, as_list, check_keys, check_names
from ftexp.design.tasks import ANSWERING_KEYS, JUDGING_KEYS, check_answering, check_task, kind_of, places_of, task_file
from ftexp.ground.errors import Findings, suggestion

EVALUATION_KEYS = ("scorer", "tasks", "matrix", "primary", *ANSWERING_KEYS, *JUDGING_KEYS)
DEFAULT_TASK = "test"
# Per factor the texts of levels; and the tasks that runs of these levels are asked.
MatrixEntry = tuple[dict[str, list[str]], list[str]]
_TASK_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")


@dataclass(frozen=True)
class Judging:
    """How the answers to one task are judged; no run's answers depend on it.

    Attributes:
        metrics: Names of metrics beside the scorers.
        normalization: What makes log-likelihoods of options of different length comparable.
        cluster: Column by which items belong together, or None.
        groups: Columns within whose values every effect is repeated.
    """

    scorers: tuple[Scorer, ...]
    metrics: tuple[str, ...]
    normalization: str
    cluster: str | None
    groups: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics of the tables: every scorer, then every metric beside them."""
        return (*(scorer.name for scorer in self.scorers), *self.metrics)

    @property
    def over_labels(self) -> list[str]:
        """Metrics that take the reference answers for labels."""
        return [name for name in self.metrics if METRICS[name].needs == "labels"]


@dataclass(frozen=True)
class Evaluation:
    """The evaluation section with its defaults.

    Attributes:
        tasks: Per task what is asked, as run.yaml has it, in declared order.
        judging: Per task how its answers are judged.
        matrix: Pairs of levels (factor -> labels) and the tasks that runs of these levels are asked.
        primary: Task and metric whose effects are confirmatory.
        said: Per task the keys of its own or of the section around it that say something, each with its place in the file.
    """

    tasks: dict[str, dict[str, Any]]
    judging: dict[str, Judging]
    matrix: tuple[MatrixEntry, ...]
    primary: tuple[str, str]
    said: dict[str, dict[str, str]] = field(default_factory=dict, compare=False)

    @property
    def metrics(self) -> list[str]:
        """All scorers and metrics of all tasks, in order."""
        return list(dict.fromkeys(name for judging in self.judging.values() for name in judging.names))

    @property
    def own_files(self) -> list[str]:
        """The files of the experiment that scorers and tasks of one's own are in."""
        scorers = [scorer.options["file"] for judging in self.judging.values() for scorer in judging.scorers if scorer.is_own]
        return list(dict.fromkeys([*scorers, *filter(None, map(task_file, self.tasks.values()))]))


def check_evaluation(
    found: Findings, section: dict[str, Any], factors: dict[str, list[Level]], of_documents: bool = False
) -> Evaluation:
    """The evaluation section with its defaults.

    Args:
        factors: Those that matrix may name.
        of_documents: Whether the data of all runs are documents, so that a task which says nothing else is of them.
    """
    check_keys(found, "evaluation.", section, EVALUATION_KEYS)
    shared = {key: section[key] for key in (*ANSWERING_KEYS, *JUDGING_KEYS) if key in section}
    if "scorer" in section:
        if "scorers" in section:
            found.add("evaluation.scorer", "stands beside scorers", "Keep scorers.")
        shared["scorers"] = as_list(section["scorer"], str, dict)
    named = _named_tasks(found, section)
    check_answering(found, "evaluation", shared, is_drawn=any(own.get("temperature") for own in [shared, *named.values()]))
    _judging(found, "evaluation", {}, shared, "answer")  # also what no task makes use of
    tasks, judging = {}, {}
    for name, own in named.items():
        where, kind = f"evaluation.tasks.{name}", kind_of(own, of_documents=of_documents)
        judging[name] = _judging(found, where, own, shared, kind)
        tasks[name] = check_task(found, where, own, shared, kind)
        wanted = [scorer.kind for scorer in judging[name].scorers] + list(judging[name].metrics)
        if tasks[name]["kind"] in ("answer", "options") and any(each in NEEDS_REFERENCE for each in wanted):
            tasks[name]["reference"] = True
    _check_one_meaning(found, judging)
    check_judged_documents(found, {name: own for name, own in named.items() if tasks[name]["kind"] == "document"}, named, shared)
    matrix = _check_matrix(found, section.get("matrix"), tasks, factors)
    primary = _check_primary(found, section.get("primary"), tasks, judging)
    found.messages = list(dict.fromkeys(found.messages))  # a mistake of the section is one of every task
    said = {name: places_of(f"evaluation.tasks.{name}", own, shared) for name, own in named.items()}
    return Evaluation(tasks, judging, matrix, primary, said)


def _check_one_meaning(found: Findings, judging: dict[str, Judging]) -> None:
    """A name in the tables is one scorer, whatever the task."""
    known: dict[str, Scorer] = {}
    for task, judged in judging.items():
        for scorer in judged.scorers:
            if known.setdefault(scorer.name, scorer) != scorer:
                cure = "Give one of them another name by the option `name`."
                found.add(f"evaluation.tasks.{task}.scorers", f"{scorer.name} has other options than in another task", cure)


def _named_tasks(found: Findings, section: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Per task what it says of its own; one task where none is named."""
    given = section.get("tasks")
    if given is None:
        return {DEFAULT_TASK: {}}
    if not isinstance(given, dict) or not given:
        found.add("evaluation.tasks", f"must be a mapping of names to tasks, got {given!r}", "Write {test: {}}.")
        return {DEFAULT_TASK: {}}
    named: dict[str, dict[str, Any]] = {}
    for name, own in given.items():
        if not isinstance(name, str) or not _TASK_NAME.fullmatch(name):
            found.add("evaluation.tasks", f"must have names of letters, digits, '_' and '-', at most 40, got {name!r}")
        elif own is not None and not (isinstance(own, dict) and all(isinstance(key, str) for key in own)):
            found.add(f"evaluation.tasks.{name}", f"must be a mapping, got {own!r}", "Write {} for the rows of data.")
        else:
            named[name] = own or {}
    folded = [name.lower() for name in named]
    if len(set(folded)) < len(folded):
        found.add("evaluation.tasks", "has two names that differ in case only", "Rename one: each is a file's name.")
    return named or {DEFAULT_TASK: {}}


def _judging(found: Findings, where: str, own: dict[str, Any], shared: dict[str, Any], kind: str) -> Judging:
    if kind == "inspect":
        return Judging((), (), "none", None, ())

    def pick(key: str) -> tuple[str, Any]:
        return (f"{where}.{key}", own[key]) if key in own else (f"evaluation.{key}", shared.get(key))

    of_scorers, given = pick("scorers")
    scorers, metrics = check_scorers(found, of_scorers, given), check_metrics(found, *pick("metrics"))
    if own.get("complete") is not None:
        scorers = scorers or (Scorer(OF_TEXTS, OF_TEXTS),)
    if kind == "document":  # which no answer is given to
        if own.get("document") is None and not (scorers or metrics):
            metrics = (ITEM_PERPLEXITY,)
        scorers = tuple(scorer for scorer in scorers if scorer.kind in NEEDS_REFERENCE) or (Scorer(PERPLEXITY, PERPLEXITY),)
        metrics = tuple(name for name in metrics if name in NEEDS_REFERENCE)
    key, normalization = pick("normalization")
    normalization = "none" if normalization is None else normalization
    if normalization not in NORMALIZATIONS:
        found.add(key, f"must be one of {', '.join(NORMALIZATIONS)}, got {normalization!r}")
        normalization = "none"
    key, cluster = pick("cluster")
    if cluster is not None and not (isinstance(cluster, str) and cluster):
        found.add(key, f"must be the name of a column, or null, got {cluster!r}")
        cluster = None
    key, groups = pick("groups")
    columns = tuple(check_names(found, key, groups))
    judging = Judging(scorers or (DEFAULT_SCORER,), metrics, normalization, cluster, columns)
    twice = [name for name in judging.names if judging.names.count(name) > 1]
    if twice:
        found.add(of_scorers, f"gives two the name '{twice[0]}'", "Give one another: {match: {pattern: ..., name: ...}}.")
    return judging


def _check_matrix(
    found: Findings, matrix: Any, tasks: dict[str, dict[str, Any]], factors: dict[str, list[Level]]
) -> tuple[MatrixEntry, ...]:
    """Which runs are asked which tasks."""
    if matrix is None:
        return ()
    listed = as_list(matrix, dict)
    if not isinstance(listed, list) or not all(isinstance(entry, dict) and set(entry) == {"runs", "tasks"} for entry in listed):
        found.add("evaluation.matrix", f"must be a list of {{runs: ..., tasks: [...]}}, got {matrix!r}")
        return ()
    entries = []
    for number, entry in enumerate(listed, 1):
        where = f"evaluation.matrix, entry {number}"
        given = list(tasks) if _is_all(entry["tasks"], tasks) else entry["tasks"]
        names = check_names(found, f"{where}: tasks", given, tuple(tasks))
        if given in (None, []):
            found.add(f"{where}: tasks", f"must name a task, got {given!r}", "A run that is asked nothing shows nothing.")
        levels = _check_levels(found, f"{where}: runs", entry["runs"], factors)
        entries.append((levels, names))
    return tuple(entries)


def _is_all(given: Any, names: Collection[str]) -> bool:
    """Whether all of these names are meant, because the word is none of them."""
    return bool(given == ALL) and ALL not in names


def _check_levels(found: Findings, where: str, runs: Any, factors: dict[str, list[Level]]) -> dict[str, list[str]]:
    """Per factor the texts of the levels that are meant."""
    if runs == ALL:
        return {}
    if not isinstance(runs, dict):
        found.add(where, f"must be a mapping of factors to levels, got {runs!r}", "Write all, or {}, for every run.")
        return {}
    levels = {}
    for name, wanted in runs.items():
        if name not in factors:
            found.add(f"{where}.{name}", "is no factor", suggestion(str(name), factors))
            continue
        known = {label_text(level.label): level for level in factors[name]}
        listed = wanted if isinstance(wanted, list) else [wanted]
        texts = list(known) if _is_all(wanted, known) else [label_text(value) for value in listed]
        for text in (text for text in texts if text not in known):
            found.add(f"{where}.{name}", f"must be one of its levels, got {text}", suggestion(text, known))
        levels[name] = texts
    return levels


def _check_primary(
    found: Findings, primary: Any, tasks: dict[str, dict[str, Any]], judging: dict[str, Judging]
) -> tuple[str, str]:
    """Task and metric, of `task/metric` or of a metric alone, which is then the first task's that has it."""
    first = next(iter(tasks))
    if primary is None:
        return first, next(iter(judging[first].names), "")
    names = {f"{task}/{metric}": (task, metric) for task, judged in judging.items() for metric in judged.names}
    task, _, metric = primary.partition("/") if isinstance(primary, str) else ("", "", "")
    if task in tasks and metric and tasks[task]["kind"] == "inspect":
        return task, metric
    chosen = [pair for name, pair in names.items() if primary in (name, pair[1])]
    if chosen:
        return chosen[0]
    found.add("evaluation.primary", f"must be task/metric, or a metric alone, got {primary!r}", suggestion(str(primary), names))
    return first, ""
