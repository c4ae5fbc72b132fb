"""The section `validation` of experiment.yaml: how often a training is looked at, by what, when it stops, what of it is kept.

Only the standard library is imported here, because the cookiecutter hook runs this code too.
"""

import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ftexp.data.splits import VALIDATION
from ftexp.design.evaluation_section import Evaluation
from ftexp.design.judging import GRADED, METRICS, OWN, PERPLEXITY, SCORERS, Scorer
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
        ValueError: If no scorer of this name can judge while a model is trained, with what is wrong and what to do.
    """
    name = validation["metric"]
    if name == LOSS:
        return dict(validation)
    plain = {kind: Scorer(kind, kind, dict(of.options)) for kind, of in SCORERS.items() if ... not in of.options.values()}
    known = plain | {scorer.name: scorer for judging in evaluation.judging.values() for scorer in judging.scorers}
    may_be = {each: scorer for each, scorer in known.items() if scorer.kind not in _NOT_IN_TRAINING}
    if name not in may_be:
        raise ValueError(*_why_not(name, {*known, *_NOT_IN_TRAINING}, [LOSS, *may_be]))
    scorer = may_be[name]
    tokens = [task["max_tokens"] for task in evaluation.tasks.values() if "max_tokens" in task]
    return {**validation, "scorer": {"kind": scorer.kind, "options": dict(scorer.options)}, "max_tokens": max(tokens, default=64)}


def _why_not(name: str, scorers: Collection[str], may_be: Iterable[str]) -> tuple[str, str]:
    """What is wrong with a metric that is none of those that may be, and what to do.

    Args:
        scorers: Names that some scorer has without further options.
    """
    if name in METRICS:
        return f"must say what one answer is worth, and {name} is of all answers together", "Choose loss, or a scorer."
    if name in scorers or "@" in name:
        return f"must compare two texts while a model is trained, got {name!r}", "Choose loss, or another scorer."
    if name in SCORERS:
        options = ", ".join(f"{key}: ..." for key, value in SCORERS[name].options.items() if value is ...)
        wanted = f"{{{name}: {{{options}}}}}"
        return f"is a scorer with an option that must be given, got {name!r}", f"Add {wanted} to evaluation.scorers."
    return f"must be loss, or the name of a scorer, got {name!r}", suggestion(name, may_be)


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
                found.add("validation.metric", *problem.args)
        elif run.data.get(VALIDATION) is not None:
            what = "has rows to validate by, and nothing is validated"
            found.add("data", what, "Add `validation: {}`, or leave them out (data.validation, data.split.validation).")
    found.messages = list(dict.fromkeys(found.messages))


def steps_between_looks(run: Run) -> int:
    """After so many steps a validated run is looked at, and at its end; its steps are known."""
    every: float = run.validation["every"]
    return max(1, round(every * run.steps["steps_per_epoch"]))


def never_act(runs: Iterable[Run]) -> list[str]:
    """A caution for each key of validation by which no training of these can become another.

    Args:
        runs: Those that train.
    """
    said: dict[tuple[Any, ...], str] = {}  # by the numbers, of which the first run is named
    for run in (run for run in runs if run.validation and run.steps):
        every, patience, threshold = (run.validation[key] for key in ("every", "patience", "threshold"))
        epochs, looks = run.settings["epochs"], math.ceil(run.steps["steps"] / steps_between_looks(run))
        if every > epochs:
            what = f"every: {every} is more than the epochs ({epochs}) of {run.id}, which is looked at at its end alone"
            said.setdefault(("every", every, epochs), f"{what}. Lower it")
        if patience is not None and patience > looks - 2:
            what = f"patience: {patience} stops nothing before its end where there {'is' if looks == 1 else 'are'} {looks} look"
            what += f"{'' if looks == 1 else 's'}, as in {run.id}"
            said.setdefault(("patience", patience, looks), f"{what}. Lower it, or look more often (validation.every)")
        if patience is None and threshold:
            what = f"threshold: {threshold} changes nothing: it says what is better to patience, which is not set"
            said.setdefault(("threshold", threshold), f"{what}. Set patience, or leave it out")
    return [f"experiment.yaml: validation.{text}" for text in said.values()]
