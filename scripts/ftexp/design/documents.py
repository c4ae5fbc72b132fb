"""Experiments on whole documents, by `data.text`: what has no meaning beside it, and which tasks can be asked of whom.

Only the standard library is imported here, because the cookiecutter hook runs this code too.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ftexp.design.factors import Level
from ftexp.design.judging import NEEDS_REFERENCE
from ftexp.design.run import Run, first_run
from ftexp.design.sections import as_list
from ftexp.ground.errors import Findings
from ftexp.ground.wording import listed

TEXT = "data.text"
# What a document has not, with why.
_OF_PROMPTS = {
    "data.input": "a document is whole, and no question with an answer", "data.output": "a document is whole, and has no answer",
    "prompt.system": "a document has no prompt", "prompt.user": "a document has no prompt",
    "loss": "every token of a document is trained",
}


def has_documents_only(data: Mapping[str, Any], factors: Mapping[str, list[Level]]) -> bool:
    """Whether every run of a design is of documents."""
    return bool(data.get("text")) or any(levels and all(_is_text(level) for level in levels) for levels in factors.values())


def check_beside_text(found: Findings, document: Mapping[str, Any], factors: Mapping[str, list[Level]], *, only: bool) -> None:
    """Nothing that is of prompts and answers stands beside `data.text`, where it would change nothing.

    Args:
        document: experiment.yaml.
        only: Whether every run is of documents.
    """
    for name, levels in factors.items():
        for level in (level for level in levels if _is_text(level)):
            for key in (key for key in _OF_PROMPTS if key in level.sets):
                _refuse(found, f"factors.{name}.{level.label}.{key}", key)
    if not (only or any(_is_text(level) for levels in factors.values() for level in levels)):
        return
    for name, levels in factors.items():
        if only or not any(_is_text(level) for level in levels):  # else other levels of the factor may be of prompts
            own = dict.fromkeys(key for level in levels if not _is_text(level) for key in _OF_PROMPTS if key in level.sets)
            for key in own:
                _refuse(found, f"factors.{name}", key)
    beside = [key for key in _OF_PROMPTS if only and _is_set(document, key)]
    if "loss" in beside:
        _refuse(found, "constants.loss", "loss")
    beside = [key for key in beside if key != "loss"]
    if beside:
        stands, them = ("stands", "it") if len(beside) == 1 else ("stand", "them")
        what = "makes each row a document, which is whole: no question, no answer, no prompt"
        what += f"; beside it {stands} {listed(beside)}"
        found.add(TEXT, what, f"Remove {them}; a task that asks by a prompt sets its own.")


def _is_text(level: Level) -> bool:
    return level.sets.get(TEXT) is not None


def _is_set(document: Mapping[str, Any], key: str) -> bool:
    section, _, name = key.rpartition(".")
    part = document.get(section or "constants")
    return isinstance(part, dict) and part.get(name) is not None


def _refuse(found: Findings, where: str, key: str) -> None:
    cure = "Keep one of them, or set each in levels of its own"
    if key.startswith("prompt."):
        cure = "Remove it, or set it in the task that asks by it"
    elif key == "loss":
        cure = "Remove it"
    says = f"sets {key}" if where.startswith("factors.") else "stands"
    found.add(where, f"{says} beside {TEXT}, and {_OF_PROMPTS[key]}", f"{cure}.")


def check_tasks_of_runs(found: Findings, runs: Iterable[Run]) -> None:
    """No run on documents is asked a question of its data, and none on questions is asked documents without a column."""
    questions: dict[str, list[Run]] = {}
    documents: dict[str, list[Run]] = {}
    for run in runs:
        for task in (task for task in run.asked if task.kind != "inspect"):
            if task.is_of_documents and not task.column:
                questions.setdefault(task.name, []).append(run)
            elif not task.is_of_documents and run.data.get("text") and not task.has_own_data:
                documents.setdefault(task.name, []).append(run)
    for name, those in questions.items():
        what = f"asks for documents, and the data of {first_run(those)} are questions with answers"
        found.add(f"evaluation.tasks.{name}", what, "Name the column: document: COLUMN.")
    for name, those in documents.items():
        cure = "Give it data of its own, or document: COLUMN, or leave it out by evaluation.matrix."
        found.add(f"evaluation.tasks.{name}", f"asks questions, and the data of {first_run(those)} are documents", cure)


def check_judged_documents(
    found: Findings, documents: dict[str, dict[str, Any]], named: dict[str, dict[str, Any]], shared: dict[str, Any]
) -> None:
    """What judges answers is asked of no document; where only some tasks are of documents, what all share is of the others."""
    for name, own in documents.items():
        for key in ("scorers", "metrics"):
            is_own = key in own
            given = own[key] if is_own else shared.get(key) if len(documents) == len(named) else None
            kinds = [next(iter(entry), "") if isinstance(entry, dict) else entry for entry in as_list(given, str, dict) or []]
            unfit = [kind for kind in kinds if isinstance(kind, str) and kind not in NEEDS_REFERENCE]
            if unfit:
                where = f"evaluation.tasks.{name}.{key}" if is_own else f"evaluation.{key}"
                found.add(where, f"is of answers, which documents have not, got {unfit[0]}", "Set complete, or leave it out.")
