"""What a log keeps of every answer, whatever it is judged by: `recorded`, and the reducer that keeps all answers to an item."""

import statistics

from inspect_ai.scorer import Score, Scorer, ScoreReducer, Target, mean, score_reducer, scorer, value_to_float
from inspect_ai.solver import TaskState

from ftexp.evaluation.cut_documents import CUT
from ftexp.evaluation.scorer_name import RECORDED


@scorer(name=RECORDED, metrics=[mean()])
def recorded() -> Scorer:
    """1 where the model ended its answer by itself, 0 where the limit of tokens cut it; with the answer and its likelihoods."""

    async def score(state: TaskState, target: Target) -> Score:
        answer, is_ended = state.output.completion, state.output.stop_reason == "stop"
        said = {"epoch": state.epoch, "answer": answer, "is_ended": is_ended}
        said |= {key: state.metadata[key] for key in ("likelihood", CUT) if key in state.metadata}
        return Score(value=float(is_ended), answer=answer, metadata=said)

    return score


@score_reducer(name="with_answers")
def with_answers() -> ScoreReducer:
    """The mean over an item's epochs, as inspect-ai's own, and beside it what was recorded of each answer.

    There it is read without the samples, which take 3 ms each (inspect-ai 0.3.285).
    """
    number = value_to_float()

    def reduce(scores: list[Score]) -> Score:
        answers = [score.metadata for score in scores if score.metadata and "is_ended" in score.metadata]
        values = [number(score.value) for score in scores]
        return Score(value=statistics.mean(values), answer=scores[0].answer, metadata={"answers": answers} if answers else None)

    return reduce
