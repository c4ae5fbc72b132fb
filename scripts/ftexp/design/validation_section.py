"""The section `validation` of experiment.yaml: how often a training is looked at, by what, when it stops, what of it is kept.

Only the standard library is imported here, because the cookiecutter hook runs this code too.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ftexp.data.splits import VALIDATION
from ftexp.design.evaluation_section import Evaluation
from ftexp.design.judging import GRADED, OWN, PERPLEXITY, SCORERS, Scorer
from ftexp.design.run import Run
from ftexp.design.validation_values import DEFAULTS, LOSS, check_validation_value
from ftexp.ground.errors import Findings, suggestion

# Scorers that need more than two texts: a model, a file of one's own.
_NOT_IN_TRAINING = (PERPLEXITY, GRADED, OWN, "semscore")


def check_validation(found: Findings, section: Any) -> dict[str, Any] | None:
    """The section with its defaults; None where there is none, so that nothing is looked at."""
    if section is None:
        return None
    if not isinstance(section, dict):
        found.add("validation", f"must be a mapping such as {{every: 1}}, got {section!r}", "Write {} for the defaults.")
        return None
    for key, value in section.items():
        check_validation_value(found, f"validation.{key}", str(key), value)
    return {**DEFAULTS, **section}


def with_scorer(validation: Mapping[str, Any], evaluation: Evaluation) -> dict[str, Any]:
    """What a run says of its validation: the metric by name, and where it is a scorer all that it follows from.

    Raises:
        ValueError: If no scorer of this name can judge while a model is trained; the text says what to do.
    """
    name = validation["metric"]
    if name == LOSS:
        return dict(validation)
    known = {scorer.name: scorer for judging in evaluation.judging.values() for scorer in judging.scorers}
    plain = {kind: Scorer(kind, kind, dict(of.options)) for kind, of in SCORERS.items() if ... not in of.options.values()}
    scorer = {**plain, **known}.get(name)
    if scorer is None:
        raise ValueError(f"must be loss, or the name of a scorer, got {name!r}. {suggestion(name, [LOSS, *plain, *known])}")
    if scorer.kind in _NOT_IN_TRAINING:
        raise ValueError(f"must compare two texts while a model is trained, got {name!r}. Choose loss, or another scorer.")
    tokens = [task["max_tokens"] for task in evaluation.tasks.values() if "max_tokens" in task]
    return {**validation, "scorer": {"kind": scorer.kind, "options": dict(scorer.options)}, "max_tokens": max(tokens, default=64)}


def check_validations(found: Findings, runs: Iterable[Run], evaluation: Evaluation) -> None:
    """Give the runs the scorers that their validation names; rows that validate are there where they are used, and only there."""
    for run in runs:
        if run.validation and run.validation["metric"] != LOSS and run.data.get("text"):
            what = f"is of answers, which documents have not, got {run.validation['metric']!r}"
            found.add("validation.metric", what, "Set loss.")
        elif run.validation:
            try:
                run.validation = with_scorer(run.validation, evaluation)
            except ValueError as problem:
                found.add("validation.metric", str(problem).partition(". ")[0], str(problem).partition(". ")[2])
        elif run.data.get(VALIDATION) is not None:
            what = "has rows to validate by, and nothing is validated"
            found.add("data", what, "Add `validation: {}`, or leave them out (data.validation, data.split.validation).")
    found.messages = list(dict.fromkeys(found.messages))
