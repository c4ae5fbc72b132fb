"""SemScore (Aynetdinov and Akbik 2024): the cosine of the embeddings of answer and target, by a model in models/."""

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from ftexp.ground import paths
from ftexp.scoring.embeddings import Embedder, FloatArray, embedder_of
from ftexp.scoring.verdicts import Question, Verdict

# Embeddings that are kept, of all models together: targets come again with each run.
MOST_KEPT = 20_000
_kept: OrderedDict[tuple[Embedder, str], FloatArray | None] = OrderedDict()


def judge(questions: Sequence[Question], model: str, compare: str) -> list[Verdict]:
    """Cosines, -1 to 1, of answer and target: alone (`continuation`), or each right after the prompt (`text`), nothing between.

    An empty text has the embedding of the model's special tokens; where the model puts none there it is a gap. What is longer
    than the model reads is cut at its end: with `text`, a prompt of that length makes all answers alike.

    Args:
        model: Name of a folder in models/.
        compare: continuation or text.

    Raises:
        UserError: If the folder is no embedding model by the mean over the tokens.
    """
    before = [question.prompt if compare == "text" else "" for question in questions]
    answers = [prompt + question.answer for prompt, question in zip(before, questions, strict=True)]
    targets = [prompt + question.target for prompt, question in zip(before, questions, strict=True)]
    embeddings = _embeddings(embedder_of(str(paths.model_dir(model).absolute())), {*answers, *targets})
    return [_verdict(embeddings[answer], embeddings[target]) for answer, target in zip(answers, targets, strict=True)]


def _verdict(answer: FloatArray | None, target: FloatArray | None) -> Verdict:
    if answer is None or target is None:
        return Verdict(None, f"the {'target' if target is None else 'answer'} has no token to embed")
    return Verdict(float(np.clip(answer @ target, -1.0, 1.0)))


def _embeddings(embedder: Embedder, texts: set[str]) -> dict[str, FloatArray | None]:
    """Those of the texts, each computed once while it is kept."""
    found = {text: _kept[embedder, text] for text in texts if (embedder, text) in _kept}
    found |= embedder.embed(texts - found.keys())
    for text in sorted(texts):
        _kept[embedder, text] = found[text]
        _kept.move_to_end((embedder, text))
    while len(_kept) > MOST_KEPT:
        _kept.popitem(last=False)
    return found
