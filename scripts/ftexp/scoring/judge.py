"""What recorded answers are worth by a scorer of an experiment: a function of them, its options, and the models that it names."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ftexp.design.judging import OWN, Scorer
from ftexp.scoring import overlap, texts
from ftexp.scoring.verdicts import Question, Verdict

if TYPE_CHECKING:
    from inspect_ai.model import Model


def judge(scorer: Scorer, questions: Sequence[Question], grader: "Callable[[str], Model] | None" = None) -> list[Verdict]:
    """A verdict per answer, in their order, by any scorer but `perplexity`, which is measured and not judged.

    Args:
        grader: Gives the model of a name to `model_graded_qa`; by default `graders.reached`.

    Raises:
        UserError: If a file, a function or a model that the scorer names is not there, or not what it must be.
    """
    options = scorer.options
    if not questions:
        return []
    if scorer.kind in texts.SCORERS:
        return texts.judge(scorer.kind, options, questions)
    if scorer.kind in overlap.KINDS:
        return overlap.judge(scorer.kind, questions)
    # These bring torch, or inspect-ai.
    if scorer.kind == "semscore":
        from ftexp.scoring import semscore

        return semscore.judge(questions, **options)
    if scorer.kind == OWN:
        from ftexp.scoring import own

        return own.judge(questions, options)
    if scorer.kind == "model_graded_qa":
        from ftexp.scoring import graders

        return graders.judge(questions, options, grader or graders.reached)
    raise ValueError(f"no answer is judged by {scorer.kind}")
