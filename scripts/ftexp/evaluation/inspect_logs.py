"""Logs of inspect-ai: the one module that reads them, through its public log API.

Reads runs/<id>/eval/<asking>.eval, and names every other log that lies there. Writes nothing.
"""

import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftexp.design.run import REFERENCE, Run
from ftexp.evaluation.scorer_name import RECORDED
from ftexp.ground import paths

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSample

_SUFFIXES = (".eval", ".json")
# What inspect-ai 0.3.285 raises for a file that is cut short or no log at all.
_UNREADABLE = (ValueError, KeyError, AssertionError, EOFError, OSError, zlib.error)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said to one item, once.

    Attributes:
        item: The item's id.
        epoch: How often it had been asked then, from 1.
        completion: The model's text, whole; of options the likeliest.
        is_ended: Whether it ended by itself, and was not cut at the limit of tokens.
        likelihood: What was measured in place of a text: `options`, `conditional`, `unconditional` (nats each); or `nll` (nats),
            `tokens` and `bytes` of a reference or a document.
        cut: Of a document that was completed, after how many of its characters.
    """

    item: str
    epoch: int
    completion: str
    is_ended: bool
    likelihood: Mapping[str, Any] | None = None
    cut: int | None = None


@dataclass(frozen=True, slots=True)
class Scored:
    """An item of an inspect task, asked once, with the task's own scores; None where one could not be given."""

    item: str
    epoch: int
    input: str
    target: str
    completion: str
    scores: Mapping[str, float | None]


class UnusableLog(Exception):
    """A log that may not fill a cell of the table; the text is the reason."""


def log_path(run: str, asking: str) -> Path:
    """Where the log of one asking lies."""
    return paths.RunPaths(run).eval_log(asking)


def read_answers(
    run: Run, asking: str, items: Collection[str], *, epochs: int, vouched: Collection[str]
) -> tuple[Answer, ...]:
    """The answers in the log of an asking.

    They stand in the reduction of the scorer `recorded`, which holds every whole answer and is read a hundred times as fast as
    the samples; inspect-ai's summaries fold white space.

    Args:
        run: Its run.yaml.
        items: Ids of the task's rows, in the order that the answers are given in; those of one item in order of epochs.
        epochs: How often each item was asked.
        vouched: The files that the manifest of the run's evaluation vouches for.

    Raises:
        UnusableLog: If the manifest does not vouch for the log, it cannot be read, its status is not success, it is
            another's, or its items are not those of the task, each once an epoch.
    """
    log = _vouched_log(run, asking, vouched)
    try:
        by_epoch = _answers(log, epochs)
        for answers in by_epoch:
            _check_items(answers, items)
    except UnusableLog as unusable:
        raise UnusableLog(f"{log_path(run.id, asking)} {unusable}") from unusable
    return tuple(answers[item] for item in items for answers in by_epoch)


def read_inspect_task(run: Run, asking: str, *, vouched: Collection[str]) -> tuple[str, list[Scored]]:
    """The version of an inspect task, and its items with its own scores, in the log's order; `vouched` as in `read_answers`.

    Raises:
        UnusableLog: As `read_answers`, the items aside, which are the task's.
    """
    header, path = _vouched_log(run, asking, vouched), log_path(run.id, asking)
    try:
        samples = _read(path, exclude_fields={"store", "attachments", "events"}).samples or []
    except UnusableLog as unusable:
        raise UnusableLog(f"{path} {unusable}") from unusable
    return str(header.eval.task_version), [_scored(sample) for sample in samples]


def _vouched_log(run: Run, asking: str, vouched: Collection[str]) -> "EvalLog":
    path = log_path(run.id, asking)
    if str(path) not in vouched or not path.is_file():
        raise UnusableLog(f"{path} is not what {paths.RunPaths(run.id).manifest('eval')} vouches for")
    try:
        log = _read_header(path)
        _check_header(log, {"experiment": run.experiment, "run": run.id, "asking": asking})
    except UnusableLog as unusable:
        raise UnusableLog(f"{path} {unusable}") from unusable
    return log


def _read_header(path: Path) -> "EvalLog":
    return _read(path, header_only=True)


def _read(path: Path, **how: Any) -> "EvalLog":
    from inspect_ai.log import read_eval_log
    from zstandard import ZstdError  # by which inspect-ai's logs are compressed

    try:
        return read_eval_log(str(path), **how)
    except (*_UNREADABLE, ZstdError) as error:
        raise UnusableLog(f"cannot be read: it is truncated, or no log of inspect-ai ({error})") from error


def _check_header(log: "EvalLog", wanted: Mapping[str, str]) -> None:
    if log.status != "success":
        raise UnusableLog(f"has status {log.status}")
    metadata = log.eval.metadata or {}
    for key, value in wanted.items():
        if metadata.get(key) != value:
            raise UnusableLog(f"belongs to {key} {metadata.get(key)}")


def _answers(log: "EvalLog", epochs: int) -> list[dict[str, Answer]]:
    """Per epoch the answers by item."""
    samples = next((reduction.samples for reduction in log.reductions or [] if reduction.scorer == RECORDED), [])
    by_epoch: list[dict[str, Answer]] = [{} for _ in range(epochs)]
    for sample in samples:
        given = (sample.metadata or {}).get("answers")
        if given is None:
            raise UnusableLog(f"does not hold what was answered to item {sample.sample_id}")
        for each in (each for each in given if each["epoch"] <= epochs):
            item = str(sample.sample_id)
            if item in by_epoch[each["epoch"] - 1]:
                raise UnusableLog("holds an item twice")
            answer = Answer(item, each["epoch"], each["answer"], each["is_ended"], each.get("likelihood"), each.get("cut"))
            by_epoch[each["epoch"] - 1][item] = answer
    return by_epoch


def _check_items(answers: Collection[str], items: Collection[str]) -> None:
    """The log has an answer to every item of the task, and to no other."""
    absent, foreign = set(items) - set(answers), set(answers) - set(items)
    if absent:
        raise UnusableLog(f"has no answer to {len(absent)} of {len(items)} items of the test set, for example {min(absent)}")
    if foreign:
        raise UnusableLog(f"has {len(foreign)} items that are not in the test set, for example {min(foreign)}")


def _scored(sample: "EvalSample") -> Scored:
    from inspect_ai.scorer import value_to_float

    number = value_to_float()
    scores: dict[str, float | None] = {}
    for name, score in (sample.scores or {}).items():
        values = score.value if isinstance(score.value, dict) else {"": score.value}
        for key, value in values.items():
            is_known = value is not None and value == value and not isinstance(value, list)
            scores[f"{name}_{key}" if key else name] = number(value) if is_known else None
    text = sample.input if isinstance(sample.input, str) else "\n".join(message.text for message in sample.input)
    target = sample.target if isinstance(sample.target, str) else " | ".join(sample.target)
    return Scored(str(sample.id), sample.epoch, text, target, sample.output.completion, scores)


def logs_not_counted(
    run: str, experiment: str, counted: Collection[Path], why: Mapping[str, str], otherwise: str = ""
) -> list[tuple[str, str]]:
    """Every log in a run's folder but those that were counted, and of what a failed try left those that did not end well.

    Args:
        run: Its id, or the name of a folder outside the design.
        experiment: The experiment's name.
        counted: The logs whose answers are in the table.
        why: Per task what is known of its evaluation, for a log with nothing wrong in itself.
        otherwise: The same for a log of another task; empty: such a one is not told, as it lies there until the task comes back.

    Returns:
        Pairs of path and reason.
    """
    places = paths.RunPaths(run)
    wanted = {"experiment": experiment, "run": run}
    found = []
    for folder in (places.eval_dir, places.scratch_dir("eval") / "logs"):
        for path in (path for path in sorted(folder.glob("*")) if path.suffix in _SUFFIXES and path not in counted):
            problem, task = _what_it_is(path, wanted)
            reason = problem or (why.get(task, otherwise) if folder == places.eval_dir else "")
            if reason:
                found.append((str(path), reason))
    return found


def _what_it_is(path: Path, wanted: Mapping[str, str]) -> tuple[str, str]:
    """What is wrong with a log, empty where nothing is; and its task."""
    try:
        log = _read_header(path)
        _check_header(log, wanted)
    except UnusableLog as unusable:
        return str(unusable), ""
    return "", str((log.eval.metadata or {}).get("asking", "")).removesuffix(REFERENCE)
