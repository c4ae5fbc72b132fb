"""Logs of inspect-ai: the one module that reads them, through its public log API.

Reads runs/<id>/eval/<task>.eval, and names every other log that lies there. Writes nothing.
"""

import zlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftexp.design.run import Run
from ftexp.evaluation.eval_file import task_name
from ftexp.ground import paths

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSampleScore

_SUFFIXES = (".eval", ".json")
# What inspect-ai 0.3.285 raises for a file that is cut short or no log at all.
_UNREADABLE = (ValueError, KeyError, AssertionError, EOFError, OSError, zlib.error)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a run said to one test item, once.

    Attributes:
        item: The item's id.
        epoch: How often it had been asked then, from 1; more than one where `evaluation.epochs` says so.
        completion: The model's text, whole.
        score: On the scorer's scale; 1.0 and 0.0 where it says right and wrong.
    """

    item: str
    epoch: int
    completion: str
    score: float


class UnusableLog(Exception):
    """A log that may not fill a cell of the table; the text is the reason."""


def log_path(run: Run) -> Path:
    """Where the log of a run's evaluation lies."""
    return paths.RunPaths(run.id).eval_dir / f"{task_name(run.experiment)}.eval"


def read_log(run: Run, items: Collection[str], *, vouched: Collection[str]) -> tuple[Answer, ...]:
    """The answers in a run's log.

    They stand in its reductions, which hold every score with its whole answer and are read a hundred times as fast as the
    samples; inspect-ai's summaries fold white space.

    Args:
        run: Its run.yaml.
        vouched: The files that the manifest of the run's evaluation vouches for.
        items: Ids of the test set, in the order that the answers are given in; those of one item in order of epochs.

    Raises:
        UnusableLog: If the manifest does not vouch for the log, it cannot be read, its status is not success, it is
            another run's, or its items are not those of the test set, each once an epoch, each with a score.
    """
    path = log_path(run)
    if str(path) not in vouched or not path.is_file():
        raise UnusableLog(f"{path} is not what {paths.RunPaths(run.id).manifest('eval')} vouches for")
    try:
        log = _read_header(path)
        _check_header(log, run.id, run.experiment)
        by_epoch = _answers(log, run.evaluation)
        for answers in by_epoch:
            _check_items(answers, items)
    except UnusableLog as unusable:
        raise UnusableLog(f"{path} {unusable}") from unusable
    return tuple(answers[item] for item in items for answers in by_epoch)


def _read_header(path: Path) -> "EvalLog":
    from inspect_ai.log import read_eval_log

    try:
        return read_eval_log(str(path), header_only=True)
    except _UNREADABLE as error:
        raise UnusableLog(f"cannot be read: it is truncated, or no log of inspect-ai ({error})") from error


def _check_header(log: "EvalLog", run: str, experiment: str) -> None:
    if log.status != "success":
        raise UnusableLog(f"has status {log.status}")
    metadata = log.eval.metadata or {}
    for key, wanted in (("experiment", task_name(experiment)), ("run", run)):
        if metadata.get(key) != wanted:
            raise UnusableLog(f"belongs to {key} {metadata.get(key)}")


def _answers(log: "EvalLog", evaluation: dict[str, Any]) -> list[dict[str, Answer]]:
    """Per epoch the answers by item."""
    scorer = evaluation["scorer"]
    samples = next((reduction.samples for reduction in log.reductions or [] if reduction.scorer == scorer), [])
    by_epoch: list[dict[str, Answer]] = [{} for _ in range(evaluation.get("epochs", 1))]
    for sample in samples:
        answers = _answers_to(sample) if "epochs" in evaluation else [_answer(sample, 1, sample.answer, sample.value)]
        for answer in answers:
            if answer.epoch <= len(by_epoch):
                if answer.item in by_epoch[answer.epoch - 1]:
                    raise UnusableLog("holds an item twice")
                by_epoch[answer.epoch - 1][answer.item] = answer
    return by_epoch


def _answers_to(sample: "EvalSampleScore") -> list[Answer]:
    """All answers to one item, which our own reducer keeps beside their mean."""
    given = (sample.metadata or {}).get("answers")
    if given is None:
        raise UnusableLog(f"has a mean for item {sample.sample_id}, and not its answers")
    return [_answer(sample, answer["epoch"], answer["answer"], answer["score"]) for answer in given]


def _answer(sample: "EvalSampleScore", epoch: int, text: str | None, score: Any) -> Answer:
    if not isinstance(score, int | float):
        raise UnusableLog(f"has an item {sample.sample_id} whose score is no number, got {score!r}")
    return Answer(str(sample.sample_id), epoch, text or "", float(score))


def _check_items(answers: Collection[str], items: Collection[str]) -> None:
    """The log has a score for every item of the test set, and for no other."""
    absent, foreign = set(items) - set(answers), set(answers) - set(items)
    if absent:
        raise UnusableLog(f"has no score for {len(absent)} of {len(items)} items of the test set, for example {min(absent)}")
    if foreign:
        raise UnusableLog(f"has {len(foreign)} items that are not in the test set, for example {min(foreign)}")


def logs_not_counted(run: str, experiment: str, counted: Path | None, why: str) -> list[tuple[str, str]]:
    """Every log in a run's folder, and what an evaluation that did not end left, but for the one that was counted.

    Args:
        run: Its id, or the name of a folder outside the design.
        experiment: The experiment's name.
        counted: The log whose answers are in the table.
        why: What is known of the run's evaluation, for a log with nothing wrong in itself.

    Returns:
        Pairs of path and reason.
    """
    places = paths.RunPaths(run)
    found = [path for folder in (places.eval_dir, places.scratch_dir("eval") / "logs") for path in sorted(folder.glob("*"))]
    others = [path for path in found if path.suffix in _SUFFIXES and path != counted]
    return [(str(path), _why_not_counted(path, run, experiment, why)) for path in others]


def _why_not_counted(path: Path, run: str, experiment: str, why: str) -> str:
    try:
        _check_header(_read_header(path), run, experiment)
    except UnusableLog as unusable:
        return str(unusable)
    return why
