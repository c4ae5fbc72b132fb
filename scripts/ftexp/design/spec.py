"""experiment.yaml, read and checked: the one file that a person writes.

Only the standard library and PyYAML are imported here, because the cookiecutter hook runs this code too.
"""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ftexp.design.combinations import Design, check_design
from ftexp.design.documents import check_beside_text, has_documents_only
from ftexp.design.evaluation_section import Evaluation, check_evaluation
from ftexp.design.factors import Level, check_baseline, check_constants, check_factors, check_naming, check_overlap
from ftexp.design.prompt_section import check_prompt
from ftexp.design.question import question_of
from ftexp.design.sections import (
    check_controls,
    check_data,
    check_keys,
    check_others,
    read_section,
)
from ftexp.design.select_section import check_select
from ftexp.design.validation_section import check_validation
from ftexp.ground.errors import Findings, UserError
from ftexp.ground.yamlfile import load_yaml

NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
TOP_KEYS = (
    "experiment", "question", "recipe", "data", "prompt", "factors", "design", "baseline", "exclude", "constants",
    "controls", "evaluation", "validation", "select", "naming",
)


@dataclass(frozen=True)
class Experiment:
    """experiment.yaml with its defaults filled in.

    Attributes:
        question: As it was asked, or made of the factors.
        constants: Short names and torchtune keys, the same for all runs.
        factors: Per factor its levels, `label -> what the level sets` (short names, `data.*`, `prompt.*`,
            torchtune keys). The label is the level itself, or a named level's name.
        has_controls: Whether the design has the base models as they are.
        others: Existing checkpoints that are evaluated beside the runs: per name the path of its folder.
        evaluation: What a run is asked, and how its answers are judged.
        validation: How trainings are looked at while they go on; None: not at all.
        select: Factors whose levels are chosen on validation, in declared order.
        baseline: Per factor the label that the others are compared with; of a factor that is not there, its first.
        naming: Per factor the abbreviation that stands before its level in an id.
        design: Which combinations of levels are runs.
    """

    name: str
    question: str
    data: dict[str, Any]
    prompt: dict[str, Any]
    factors: dict[str, list[Level]]
    constants: dict[str, Any]
    has_controls: bool
    others: dict[str, str]
    evaluation: Evaluation
    validation: dict[str, Any] | None = None
    select: tuple[str, ...] = ()
    baseline: dict[str, Any] = field(default_factory=dict)
    naming: dict[str, str] = field(default_factory=dict)
    design: Design = field(default_factory=Design)


    @property
    def templates(self) -> list[str]:
        """The files of the chat templates that it names."""
        sets = [{f"prompt.{key}": value for key, value in self.prompt.items()}]
        sets += [level.sets for levels in self.factors.values() for level in levels]
        return list(dict.fromkeys(own["prompt.template"] for own in sets if own.get("prompt.template")))

    @property
    def own_files(self) -> list[str]:
        """The files of the experiment that it names beside the data: scorers and tasks of one's own, chat templates."""
        return [*self.evaluation.own_files, *self.templates]


def read_experiment(path: Path) -> Experiment:
    """Read and check experiment.yaml.

    Raises:
        UserError: With every mistake of the file at once.
    """
    return check_experiment(load_yaml(path), path.name)


def check_experiment(document: Any, file: str) -> Experiment:
    """Check a parsed experiment.yaml and fill in its defaults.

    Raises:
        UserError: With every mistake of the document at once.
    """
    if not isinstance(document, dict):
        got = "nothing" if document is None else f"a {type(document).__name__}"
        raise UserError(f"{file}: must be a mapping of keys such as question, data, factors, got {got}.")
    found = Findings(file)
    check_keys(found, "", document, TOP_KEYS)
    data = check_data(found, "data", read_section(found, document, "data"))
    prompt = check_prompt(found, read_section(found, document, "prompt"))
    factors = check_factors(found, read_section(found, document, "factors"))
    constants = check_constants(found, document)
    check_overlap(found, factors, constants)
    is_of_documents = has_documents_only(data, factors)
    check_beside_text(found, document, factors, only=is_of_documents)
    controls = read_section(found, document, "controls")
    baseline = check_baseline(found, read_section(found, document, "baseline"), factors)
    experiment = Experiment(
        name=_check_name(found, document.get("experiment")),
        question=_check_question(found, document.get("question")),
        data=data,
        prompt=prompt,
        factors=factors,
        constants=constants,
        has_controls=check_controls(found, controls),
        others=check_others(found, controls.get("others")),
        evaluation=check_evaluation(found, read_section(found, document, "evaluation"), factors, is_of_documents),
        validation=check_validation(found, document.get("validation")),
        select=check_select(found, document.get("select"), factors),
        baseline=baseline,
        naming=check_naming(found, read_section(found, document, "naming"), factors),
        design=check_design(found, document, factors, baseline),
    )
    found.raise_if_any()
    if experiment.question:
        return experiment
    task, metric = experiment.evaluation.primary
    own = experiment.evaluation.tasks[task].get("data") if experiment.evaluation.tasks else None
    asked = {**data, "source": own["data"]} if own else data
    return replace(experiment, question=question_of(factors, asked, constants, metric))


def _check_name(found: Findings, value: Any) -> str:
    if isinstance(value, str) and NAME_PATTERN.fullmatch(value):
        return value
    found.add(
        "experiment", f"must be a name of letters, digits, '.', '_' and '-', at most 80, got {value!r}", "Rename it."
    )
    return "experiment"


def _check_question(found: Findings, value: Any) -> str:
    """The question as it was asked; empty where it is null or absent."""
    if value is None or (isinstance(value, str) and value.strip()):
        return value or ""
    found.add("question", f"must be a sentence, got {value!r}", "Say what the experiment asks.")
    return ""
