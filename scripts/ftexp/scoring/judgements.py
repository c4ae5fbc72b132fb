"""What is to be judged of a task, each judgement with the key of all that it follows from but the answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftexp.design.evaluation_section import Judging
from ftexp.design.judging import GRADED, METRICS, OWN, PERPLEXITY, Scorer
from ftexp.design.run import Task
from ftexp.ground import paths
from ftexp.ground.errors import UserError
from ftexp.ground.filesystem import sha256_json
from ftexp.ground.memories import FileHashes
from ftexp.models.folder import small_files, weight_files

# Kinds that ask a model, or run code of one's own, so that they are judged by `make score` alone.
SLOW = ("semscore", GRADED, OWN)
OPTIONS, NUMBERS, BLEU, CHRF = "options", "number", "bleu", "corpus_chrf"


@dataclass(frozen=True)
class Judgement:
    """One judgement of a task's answers.

    Attributes:
        name: Of a scorer its name; else `options`, `number`, `bleu` or `corpus_chrf`, whose columns a metric needs.
        key: What its columns follow from, the answers aside.
        scorer: None where it is no scorer's.
    """

    name: str
    key: str
    scorer: Scorer | None = None

    @property
    def is_slow(self) -> bool:
        """Whether it may ask a model, or run code of one's own."""
        return self.scorer is not None and self.scorer.kind in SLOW


class Judgements:
    """The judgements of tasks, from the code, the files and the models that are there now."""

    def __init__(self, code: str, hashes: FileHashes) -> None:
        """`code`: version of the code that judges."""
        self._code = code
        self._hashes = hashes
        self._models: dict[str, Any] = {}

    def of(self, task: Task, judging: Judging) -> list[Judgement]:
        """All that is wanted of a task; none of an inspect task, whose scores are in its log.

        Raises:
            UserError: If a scorer's file or model is not there.
        """
        if task.kind == "inspect":
            return []
        base = [judging.normalization, self._code] if task.kind == "options" else []
        found = [Judgement(OPTIONS, sha256_json(base))] if task.kind == "options" else []
        needs = {METRICS[name].needs for name in judging.metrics}
        is_numeric = "numbers" in needs or any(scorer.kind == "numeric" for scorer in judging.scorers)
        wanted = [NUMBERS] if is_numeric else []
        wanted += [name for name in (BLEU, CHRF) if name in judging.metrics]
        found += [Judgement(name, sha256_json([name, self._code, *base])) for name in wanted if task.kind != "document"]
        scorers = [scorer for scorer in judging.scorers if scorer.kind != PERPLEXITY and task.kind != "document"]
        return found + [Judgement(scorer.name, self._key(scorer, base), scorer) for scorer in scorers]

    def _key(self, scorer: Scorer, base: list[str]) -> str:
        """A grader's words are kept though our code changes: they cost something."""
        facts: list[Any] = [scorer.kind, scorer.options, base]
        if scorer.kind == OWN:
            facts.append(self._file(scorer.options["file"]))
        elif scorer.kind in (GRADED, "semscore"):
            facts.append(self._model(scorer))
        return sha256_json(facts if scorer.kind in (GRADED, OWN) else [*facts, self._code])

    def _file(self, name: str) -> str:
        if not Path(name).is_file():
            what = f"{name}: there is no such file"
            raise UserError(f"experiment.yaml: evaluation.scorers: {what}. Write it, or take the scorer out.")
        return self._hashes.of_own_code(Path(name))

    def _model(self, scorer: Scorer) -> Mapping[str, str] | str:
        """The files of a model in models/; of a grader elsewhere its name."""
        name = scorer.options["model"]
        if name not in self._models:
            folder = paths.model_dir(name)
            if folder.is_dir():
                names = [*(path.name for path in small_files(folder)), *weight_files(folder)]
                self._models[name] = self._hashes.of_folder(folder, names)
            elif scorer.kind == GRADED and "/" in name:
                self._models[name] = name
            else:
                what = f"{scorer.kind}: there is no model {folder}"
                raise UserError(f"experiment.yaml: evaluation.scorers: {what}. Put its folder there, or correct the name.")
        found: Mapping[str, str] | str = self._models[name]
        return found
