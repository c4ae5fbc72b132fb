"""All recorded answers of an experiment as one table, with what they were judged to be.

Reads files of scores and the rows of tasks, by a `Judge`. Writes nothing.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ftexp.data.answers import Answers
from ftexp.data.cuts import rest_of
from ftexp.data.items import Item, reference_answers
from ftexp.design.evaluation_section import Evaluation
from ftexp.design.run import Run, Task
from ftexp.effects.measurements import group_column
from ftexp.evaluation.inspect_logs import UnusableLog
from ftexp.results.judge_runs import Judge
from ftexp.scoring.score_files import ScoreFile


@dataclass(frozen=True)
class Recorded:
    """What runs answered.

    Attributes:
        frame: One row per run, task, item and epoch: run, task, item, epoch, cluster, input, target, completion, `group:<name>`,
            and the columns of the files of scores.
        unusable: Per run and task why its log does not count, although its evaluation is done.
        references: Per run and task the answers that are right.
        versions: Per inspect task its version, where known.
        metrics: Per inspect task its own scorers.
        columns: Per task the columns of `frame` that are its own; all of them where it is not named.
    """

    frame: pd.DataFrame
    unusable: Mapping[tuple[str, str], str]
    references: Mapping[tuple[str, str], Answers]
    versions: Mapping[str, str]
    metrics: Mapping[str, tuple[str, ...]]
    columns: Mapping[str, Collection[str]] = field(default_factory=dict)

    def of_task(self, task: str) -> pd.DataFrame:
        """The rows of one task, without columns that only other tasks have."""
        if self.frame.empty:
            return self.frame
        own = self.columns.get(task, self.frame.columns)
        return self.frame.loc[self.frame["task"] == task, [name for name in self.frame if name in own]]


_OF_INSPECT = ("item", "epoch", "input", "target", "completion", "cluster")


def recorded_answers(done: Iterable[tuple[Run, Task]], judge: Judge, evaluation: Evaluation) -> Recorded:
    """The answers of runs to tasks that are evaluated."""
    unusable: dict[tuple[str, str], str] = {}
    groups: dict[tuple[str, str], list[tuple[str, ScoreFile]]] = defaultdict(list)
    tasks: dict[tuple[str, str], Task] = {}
    references: dict[tuple[str, str], Answers] = {}
    known: dict[tuple[str, str], Answers] = {}
    for run, task in done:
        try:
            scores = judge.read(run, task)
        except UnusableLog as error:
            unusable[run.id, task.name] = str(error)
            continue
        groups[task.name, task.test_set].append((run.id, scores))
        tasks[task.name, task.test_set] = task
        if task.is_prompted:
            pair = task.sets_of_answers(evaluation.judging[task.name].over_labels, run)
            if pair not in known:
                known[pair] = reference_answers(pair[1], task.data, judge.items(task))
            references[run.id, task.name] = known[pair]
    parts = [_together(tasks[key], members, judge.items(tasks[key]), evaluation) for key, members in groups.items()]
    columns: dict[str, set[str]] = defaultdict(set)
    for (name, _), part in zip(groups, parts, strict=True):
        columns[name].update(map(str, part))
    inspected = {key[0]: members[0][1] for key, members in groups.items() if tasks[key].kind == "inspect"}
    return Recorded(
        pd.concat(parts, ignore_index=True) if parts else _empty(), unusable, references,
        {name: scores.version for name, scores in inspected.items()},
        {name: tuple(column for column in map(str, s.frame) if column not in _OF_INSPECT) for name, s in inspected.items()},
        columns,
    )


def _together(
    task: Task, members: list[tuple[str, ScoreFile]], items: Mapping[str, Item], evaluation: Evaluation
) -> pd.DataFrame:
    """The rows of all runs that were asked a task on one set of rows, with what is known of its items."""
    lengths = [len(scores.frame) for _, scores in members]
    frame = pd.concat([scores.frame for _, scores in members], ignore_index=True)
    names = [name for name, _ in members]
    codes = np.repeat(np.arange(len(names)), lengths)
    frame.insert(0, "run", pd.Series(pd.Categorical.from_codes(codes, categories=pd.Index(names))))
    frame.insert(1, "task", task.name)
    if task.kind == "inspect":
        frame["item"] = frame["item"].astype(str)
        return frame.assign(cluster=frame["item"])
    judging = evaluation.judging[task.name]
    about = pd.DataFrame(
        [(item.cluster, item.input, item.target, *item.groups) for item in items.values()], index=pd.Index(items),
        columns=["cluster", "input", "target", *map(group_column, judging.groups)], dtype="str",
    )
    places = about.index.get_indexer(pd.Index(frame["item"]))
    for column in about:
        frame[column] = about[column].take(places).to_numpy() if len(about) else ""
    if "cut" in frame:  # of documents that were completed, whose references follow from where the model's tokens let them be cut
        pairs = list(zip(frame["input"], frame.pop("cut"), strict=True))
        frame["input"], frame["target"] = ([text[:cut] for text, cut in pairs], [rest_of(text, cut) for text, cut in pairs])
    return frame


def _empty() -> pd.DataFrame:
    frame = pd.DataFrame({name: pd.Series(dtype="str") for name in ("run", "task", *_OF_INSPECT)})
    return frame.assign(epoch=pd.Series(dtype="int64"))
