"""The recorded answers of all runs, judged: what `make score` makes, and `make report` as far as it costs nothing.

Reads experiment.yaml's judgements, the rows of tasks, logs that manifests vouch for. Writes scores/<task>/<run>.parquet.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from ftexp.data.items import Item, read_task_items
from ftexp.data.prompts import prompt_turns
from ftexp.design.evaluation_section import Evaluation
from ftexp.design.run import Run, Task
from ftexp.evaluation.inspect_logs import UnusableLog
from ftexp.ground.memories import FileHashes
from ftexp.scoring.judgements import Judgement, Judgements
from ftexp.scoring.run_scores import Asked, Outcome, hash_of_logs, is_current, score_run
from ftexp.scoring.score_files import ScoreFile, read_scores, score_file
from ftexp.scoring.verdicts import Question
from ftexp.state.work import outputs_of

if TYPE_CHECKING:
    from inspect_ai.model import Model


class Judge:
    """Judges the answers of runs by one evaluation section; rows of tasks are read once."""

    def __init__(
        self, evaluation: Evaluation, code: str, hashes: FileHashes, grader: "Callable[[str], Model] | None" = None
    ) -> None:
        """`code`: version of the code that judges; `grader` gives the model of a grader's name."""
        self._evaluation = evaluation
        self._judgements = Judgements(code, hashes)
        self._grader = grader
        self._items: dict[tuple[str, str], dict[str, Item]] = {}
        self._questions: dict[str, list[Question]] = {}
        self._wanted: dict[str, list[Judgement]] = {}
        self._unusable: dict[tuple[str, str], str] = {}

    def items(self, task: Task) -> dict[str, Item]:
        """The items of a task, by id; of an inspect task none, which stand in its log."""
        judging = self._evaluation.judging[task.name]
        key = (task.name, task.test_set)
        if key not in self._items:
            data = {**task.data, "document": task.column} if task.is_of_documents else task.data
            self._items[key] = read_task_items(task.test_set, data, judging.cluster, judging.groups) if task.data else {}
        return self._items[key]

    def wanted(self, task: Task) -> list[Judgement]:
        """All that is to be judged of a task."""
        if task.name not in self._wanted:
            self._wanted[task.name] = self._judgements.of(task, self._evaluation.judging[task.name])
        return self._wanted[task.name]

    def score(self, run: Run, task: Task, *, is_quick: bool) -> Outcome | None:
        """Judge what is not judged yet of a run's answers to a task; None where nothing is left.

        Args:
            is_quick: Leave out what asks a model, or runs code of one's own.

        Raises:
            UnusableLog: If its log may not be read.
        """
        vouched = outputs_of(run.id, "eval")
        wanted = [each for each in self.wanted(task) if not (is_quick and each.is_slow)]
        normalization = "none" if run.has_head else self._evaluation.judging[task.name].normalization  # labels have no length
        asked = Asked(task, (), normalization, wanted, self._grader)
        if is_current(run, asked, vouched):
            return None
        try:
            return score_run(run, replace(asked, questions=self._asked(task)), vouched)
        except UnusableLog as error:
            self._unusable[run.id, task.name] = str(error)
            raise

    def read(self, run: Run, task: Task) -> ScoreFile:
        """What a run answered in a task, with what it was judged to be; a judgement that is not current is not there.

        Raises:
            UnusableLog: If nothing is judged of the logs that are there now; where `score` found why, with that.
        """
        path = score_file(task.name, run.id)
        found = read_scores(path)
        if found is None or found.answers != hash_of_logs(run, task, outputs_of(run.id, "eval")):
            raise UnusableLog(self._unusable.get((run.id, task.name), f"{path} is not of its answers: `make score`"))
        for judgement in self.wanted(task):
            if found.keys.get(judgement.name, "").rstrip("*") != judgement.key:
                own = [name for name in map(str, found.frame) if name.partition(":")[0] == judgement.name]
                found.frame = found.frame.drop(columns=own)
        return found

    def _asked(self, task: Task) -> list[Question]:
        if not task.data:
            return []
        key = repr((task.test_set, task.prompt, task.kind, task.data.get("input"), task.data.get("output"), task.column))
        if key not in self._questions:
            self._questions[key] = [_question(task, item) for item in self.items(task).values()]
        return self._questions[key]


def _question(task: Task, item: Item) -> Question:
    """What was asked, without an answer; of a document the whole."""
    text = item.input
    if task.is_prompted:
        turns = prompt_turns({**task.prompt, "system": None}, task.data["input"], item.row)
        text = "\n\n".join(turn["content"] for turn in turns)
    return Question(item=item.id, epoch=1, prompt=text, target=item.target, answer="", row=item.row)
