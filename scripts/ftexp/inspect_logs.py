"""Logs of inspect-ai: the one module that reads them, through its public log API.

Reads runs/<id>/eval/<task>.eval. Writes nothing.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftexp import paths
from ftexp.eval_file import task_name
from ftexp.state import read_manifest

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSampleSummary


@dataclass(frozen=True)
class Item:
    """One test item as a run answered it.

    Attributes:
        id: The hash of the raw row; the same in every run that was asked this item.
        input: The last user turn. inspect-ai's summaries cut it, and the answer, at 1,000 characters.
        score: 1.0 where the scorer says right, 0.0 where it says wrong.
    """

    id: str
    input: str
    target: str
    answer: str
    score: float


class UnusableLog(Exception):
    """A log that may not fill a cell of the table; the text is the reason."""


def log_path(run: dict[str, Any]) -> Path:
    """Where the log of a run's evaluation lies."""
    return paths.RunPaths(run["run"]).eval_dir / f"{task_name(run)}.eval"


def read_log(run: dict[str, Any]) -> tuple[Item, ...]:
    """The items of a run's log, in the test set's order of the log.

    Raises:
        UnusableLog: If the manifest does not vouch for the log, its status is not success, it is another run's, or
            an item is without a score or there twice.
    """
    from inspect_ai.log import read_eval_log, read_eval_log_sample_summaries

    path = log_path(run)
    manifest = read_manifest(run["run"], "eval")
    if manifest is None or str(path) not in manifest["outputs"] or not path.is_file():
        raise UnusableLog(f"{path} is not what {paths.RunPaths(run['run']).manifest('eval')} vouches for")
    _check_header(read_eval_log(str(path), header_only=True), run)
    items = tuple(_item(summary, run["evaluation"]["scorer"]) for summary in read_eval_log_sample_summaries(str(path)))
    if not items:
        raise UnusableLog("its log holds no item")
    if len({item.id for item in items}) != len(items):
        raise UnusableLog("its log holds an item twice")
    return items


def _check_header(log: "EvalLog", run: dict[str, Any]) -> None:
    if log.status != "success":
        raise UnusableLog(f"its log has status {log.status}")
    metadata = log.eval.metadata or {}
    for key, wanted in (("experiment", task_name(run)), ("run", run["run"])):
        if metadata.get(key) != wanted:
            raise UnusableLog(f"its log belongs to {key} {metadata.get(key)}")


def _item(summary: "EvalSampleSummary", scorer: str) -> Item:
    from inspect_ai.scorer import value_to_float

    score = (summary.scores or {}).get(scorer)
    if summary.error or score is None:
        raise UnusableLog(f"item {summary.id} has no score" + (f": {summary.error}" if summary.error else ""))
    target = summary.target if isinstance(summary.target, str) else " | ".join(summary.target)
    return Item(str(summary.id), _last_turn(summary), target, score.answer or "", value_to_float()(score.value))


def _last_turn(summary: "EvalSampleSummary") -> str:
    if isinstance(summary.input, str):
        return summary.input
    turns = [message.text for message in summary.input if message.role == "user"]
    return turns[-1] if turns else ""
