"""What a model's answers to validation rows are worth while it is trained, by the scorers that need nothing but two texts."""

from collections.abc import Mapping, Sequence
from typing import Any

from ftexp.scoring import overlap, texts
from ftexp.scoring.verdicts import Question


def scores(answers: Sequence[str], targets: Sequence[str], *, kind: str, options: Mapping[str, Any]) -> list[float | None]:
    """Per answer its value on the scorer's scale, more being better; None where it could not be scored."""
    pairs = zip(answers, targets, strict=True)
    questions = [Question(item=str(number), epoch=1, prompt="", target=target, answer=answer)
                 for number, (answer, target) in enumerate(pairs)]
    judged = overlap.judge(kind, questions) if kind in overlap.KINDS else texts.judge(kind, options, questions)
    return [verdict.value for verdict in judged]
