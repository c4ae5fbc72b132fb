"""The scores of one run in one task: what is there is kept, what is missing is judged from the recorded answers.

Reads a run's logs and its file of scores. Writes that file.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ftexp.data.cuts import rest_of
from ftexp.design.run import REFERENCE, Run, Task
from ftexp.evaluation.inspect_logs import log_path, read_answers, read_inspect_task
from ftexp.ground.filesystem import sha256_json
from ftexp.scoring.counts import bleu_counts, chrf_counts, number_in
from ftexp.scoring.judge import judge
from ftexp.scoring.judgements import BLEU, CHRF, NUMBERS, OPTIONS, Judgement
from ftexp.scoring.options import normalized, probabilities
from ftexp.scoring.score_files import ScoreFile, keys_of, read_scores, score_file, write_scores
from ftexp.scoring.verdicts import Question, Verdict

if TYPE_CHECKING:
    from inspect_ai.model import Model

WHY, SAYS, AGAIN = ":why", ":says", ":again"


@dataclass(frozen=True)
class Asked:
    """A task as a run was asked it: its rows, by what its answers are judged, and how a grader is reached.

    Attributes:
        questions: Per item what was asked, without an answer, in the task's order; empty of an inspect task.
        normalization: Of options.
        judgements: What is wanted.
        grader: The model of a grader's name.
    """

    task: Task
    questions: Sequence[Question]
    normalization: str
    judgements: Sequence[Judgement]
    grader: "Callable[[str], Model] | None" = None


@dataclass(frozen=True)
class Outcome:
    """What was done for one run in one task: the judgements made, and per reason the answers that have to be judged again."""

    judged: tuple[str, ...] = ()
    to_judge_again: Mapping[str, int] = field(default_factory=dict)


def is_current(run: Run, asked: Asked, vouched: Mapping[str, str]) -> bool:
    """Whether all wanted judgements are there, of these very logs."""
    known = keys_of(score_file(asked.task.name, run.id))
    if known is None or known.answers != hash_of_logs(run, asked.task, vouched):
        return False
    return not _missing(known, asked.judgements)


def score_run(run: Run, asked: Asked, vouched: Mapping[str, str]) -> Outcome:
    """Judge what is not judged yet.

    Args:
        vouched: The logs that the manifest of the run's evaluation vouches for, with their hashes.

    Raises:
        UnusableLog: If a log may not be read.
        UserError: If a scorer cannot be used.
    """
    path = score_file(asked.task.name, run.id)
    known, digest = read_scores(path), hash_of_logs(run, asked.task, vouched)
    if known is None or known.answers != digest:
        known = _recorded(run, asked, digest, vouched)
    missing = _missing(known, asked.judgements)
    again: dict[str, int] = {}
    try:
        for judgement in missing:
            again |= _judge(known, judgement, asked)
    finally:  # what was judged before a scorer that cannot be used is kept: a grader's words cost something
        write_scores(path, known)
    return Outcome(tuple(judgement.name for judgement in missing), again)


def hash_of_logs(run: Run, task: Task, vouched: Mapping[str, str]) -> str:
    """One hash of the logs that a task's answers stand in."""
    return sha256_json([vouched.get(str(log_path(run.id, asking)), "") for asking in task.askings])


def _missing(known: ScoreFile, judgements: Sequence[Judgement]) -> list[Judgement]:
    return [judgement for judgement in judgements if known.keys.get(judgement.name) != judgement.key]


def _recorded(run: Run, asked: Asked, digest: str, vouched: Collection[str]) -> ScoreFile:
    """The answers of a run as its logs have them."""
    task = asked.task
    if task.kind == "inspect":
        version, samples = read_inspect_task(run, task.name, vouched=vouched)
        scores = pd.DataFrame([dict(sample.scores) for sample in samples], dtype=float)
        names = ("item", "epoch", "input", "target", "completion")
        said = pd.DataFrame({name: [getattr(sample, name) for sample in samples] for name in names})
        return ScoreFile(digest, pd.concat([said, scores], axis=1), version=version)
    items = [question.item for question in asked.questions]
    answers = read_answers(run, task.name, items, epochs=task.epochs, vouched=vouched)
    columns: dict[str, Any] = {
        "item": [answer.item for answer in answers], "epoch": [answer.epoch for answer in answers],
        "completion": [answer.completion for answer in answers], "is_ended": [answer.is_ended for answer in answers],
    }
    if task.completes:
        columns["cut"] = [answer.cut for answer in answers]
    measured = answers if task.kind != "answer" else ()
    if task.askings != (task.name,):
        references = read_answers(run, task.name + REFERENCE, items, epochs=1, vouched=vouched)
        by_item = {answer.item: answer.likelihood or {} for answer in references}
        columns |= {name: [by_item[answer.item][name] for answer in answers] for name in ("nll", "tokens", "bytes")}
    for name in dict.fromkeys(name for answer in measured[:1] for name in answer.likelihood or {}):
        columns[name] = [(answer.likelihood or {})[name] for answer in measured]
    return ScoreFile(digest, pd.DataFrame(columns))


def _judge(known: ScoreFile, judgement: Judgement, asked: Asked) -> dict[str, int]:
    """Add the columns of a judgement; return per reason how many answers have to be judged again."""
    frame, name = known.frame, judgement.name
    if judgement.scorer is None:
        for column, values in _columns(frame, judgement, asked).items():
            frame[column] = values
        known.keys[name] = judgement.key
        return {}
    is_open = np.ones(len(frame), dtype=bool)
    if known.keys.get(name) == judgement.key + "*":
        is_open = frame[name + AGAIN].to_numpy(dtype=bool)
    verdicts = judge(judgement.scorer, _questions(frame[is_open], asked), grader=asked.grader)
    _write(frame, name, is_open, verdicts)
    again: dict[str, int] = {}
    for verdict in (verdict for verdict in verdicts if not verdict.is_final):
        again[verdict.reason] = again.get(verdict.reason, 0) + 1
    known.keys[name] = judgement.key + ("*" if again else "")
    return again


def _write(frame: pd.DataFrame, name: str, is_open: Any, verdicts: Sequence[Verdict]) -> None:
    """Lay verdicts into the rows that were open; columns that say nothing are left out."""
    for suffix, dtype, empty, values in (
        ("", float, np.nan, [np.nan if verdict.value is None else verdict.value for verdict in verdicts]),
        (WHY, object, "", [verdict.reason for verdict in verdicts]), (SAYS, object, "", [verdict.says for verdict in verdicts]),
        (AGAIN, bool, False, [not verdict.is_final for verdict in verdicts]),
    ):
        column = np.full(len(frame), empty, dtype=dtype)
        if not is_open.all() and name + suffix in frame:
            column[:] = frame[name + suffix].to_numpy()
        column[is_open] = values
        if not suffix or any(column):
            frame[name + suffix] = column
        elif name + suffix in frame:
            del frame[name + suffix]


def _questions(frame: pd.DataFrame, asked: Asked) -> list[Question]:
    by_item = {question.item: question for question in asked.questions}
    cuts = frame["cut"] if "cut" in frame else [None] * len(frame)
    said = zip(map(by_item.__getitem__, frame["item"]), frame["epoch"], frame["completion"], cuts, strict=True)
    return [Question(q.item, epoch, *_asked_and_right(q, cut), answer, q.row) for q, epoch, answer, cut in said]


def _asked_and_right(question: Question, cut: int | None) -> tuple[str, str]:
    """What was asked, and its reference; of a document that was cut, its beginning and the rest."""
    if cut is None:
        return question.prompt, question.target
    return question.prompt[:cut], rest_of(question.prompt, cut)


def _columns(frame: pd.DataFrame, judgement: Judgement, asked: Asked) -> Mapping[str, Any]:
    """The columns of a judgement that is no scorer's."""
    if judgement.name == OPTIONS:
        return _chosen(frame, asked.normalization)
    if judgement.name == NUMBERS:
        return {"number": pd.array([number_in(answer) for answer in frame["completion"]], dtype=float)}
    counts = {BLEU: bleu_counts, CHRF: chrf_counts}[judgement.name]
    found: Mapping[str, Any] = counts(_questions(frame, asked))
    return found


def _chosen(frame: pd.DataFrame, normalization: str) -> dict[str, Any]:
    """The likeliest option, its probability, and those of all."""
    rows = [
        probabilities(normalized(np.asarray(one), np.asarray(other), list(options), normalization))
        for options, one, other in zip(frame["options"], frame["conditional"], frame["unconditional"], strict=True)
    ]
    best = [int(row.argmax()) for row in rows]
    return {
        "completion": [options[place] for options, place in zip(frame["options"], best, strict=True)],
        "probability": [float(row[place]) for row, place in zip(rows, best, strict=True)],
        "probabilities": [row.tolist() for row in rows],
    }
