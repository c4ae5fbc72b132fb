"""Answers graded by a model, by inspect-ai's `model_graded_qa`; and how a grader is reached."""

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from inspect_ai.model import GenerateConfig, Model, get_model
from inspect_ai.scorer import Score, model_graded_qa

from ftexp.evaluation.provider import tuned_model
from ftexp.ground import paths
from ftexp.ground.errors import one_line
from ftexp.scoring.asking import outcomes, verdict
from ftexp.scoring.verdicts import Question, Verdict, mistake

# A grader in models/: so many tokens at most for its reasons and its grade; its chat template's date is never today's.
MOST_TOKENS = 1024
DATE = "2026-01-01"
# A grader elsewhere that does not answer is asked so often again; inspect-ai would never give up.
RETRIES = 3
_MARKUP = re.compile(r"\[/?[a-z]+\]")  # of rich's, in inspect-ai's messages


def judge(
    questions: Sequence[Question], options: Mapping[str, Any], grader: Callable[[str], Model]
) -> list[Verdict]:
    """The grader's grades, C, P and I as 1, 0.5 and 0, and its words; where it gives no grade, or no answer, there is a gap.

    Args:
        options: `model`, `template`, `instructions` and `partial_credit`, as inspect-ai has them.
        grader: Gives the model of that name.
    """
    model = grader(options["model"])
    asked = {name: value for name, value in options.items() if name != "model"}
    return [_verdict(outcome) for outcome in outcomes(model_graded_qa(model=model, **asked), questions, around=model)]


def _verdict(outcome: Score | Exception | None) -> Verdict:
    found = verdict(outcome)
    if not isinstance(outcome, Score):
        return found
    # Where there is no grade the explanation is no longer the grader's words alone; they stand in the transcript.
    words: str = (outcome.metadata or {})["grading"][1].text
    reason = "" if found.value is not None else "the grader gave no grade"
    return Verdict(found.value, reason, words)


def reached(name: str, urls: Mapping[str, str] | None = None) -> Model:
    """A grader: a folder in models/, by our own provider, in fp32; or what inspect-ai has under that name.

    Args:
        urls: Per name of inspect-ai's where it is served, if not where its provider looks.

    Raises:
        UserError: If it is neither.
    """
    folder = paths.model_dir(name)
    if folder.is_dir():
        return _in_models(str(folder.absolute()))
    if "/" not in name:
        raise mistake(
            f"model_graded_qa: model must be a folder in {paths.MODELS_LINK}/ or inspect-ai's name, provider/model, got {name}",
            "Correct it, or put the folder there.",
        )
    try:
        return get_model(name, base_url=(urls or {}).get(name), config=GenerateConfig(max_retries=RETRIES), memoize=False)
    except Exception as error:
        plain = one_line(" ".join(_MARKUP.sub("", str(error)).split())).rstrip(".")
        raise mistake(
            f"model_graded_qa: {name} cannot be reached, got {type(error).__name__}: {plain}",
            f"Correct the name, or graders in {paths.SITE_YAML}.",
        ) from error


@functools.lru_cache(maxsize=1)
def _in_models(folder: str) -> Model:
    """The base model of a folder; the last one is kept."""
    model = tuned_model(Path(folder).name, base=folder, checkpoint=None, dtype="fp32", date=DATE)
    model.config.max_tokens = MOST_TOKENS
    return model
