"""The scorers of an eval.py: what is recorded of every answer, and those of experiment.yaml that need nothing but the answer.

Those that ask a model, and one's own, are left to `make score`: an evaluation does not end in an error because a judge failed.
"""

import math
from typing import Any

from inspect_ai.scorer import Score, Scorer, Target, mean, scorer
from inspect_ai.solver import TaskState

from ftexp.design.judging import PERPLEXITY, SCORERS
from ftexp.design.judging import Scorer as ScorerOfSection
from ftexp.design.spec import read_experiment
from ftexp.evaluation.scorer import recorded
from ftexp.ground.paths import EXPERIMENT_YAML, from_root
from ftexp.scoring.judge import judge
from ftexp.scoring.judgements import SLOW
from ftexp.scoring.verdicts import Question


def scorers(task: str) -> list[Scorer]:
    """Those of a task, by experiment.yaml as it is now; what is recorded stands first, whatever else there is."""
    judging = read_experiment(from_root(EXPERIMENT_YAML)).evaluation.judging.get(task)
    own = judging.scorers if judging else ()
    return [recorded(), *(_MAKERS[each.kind](name=each.name, **each.options) for each in own if each.kind in _MAKERS)]


def _maker(kind: str) -> Any:
    """A scorer of inspect-ai of one kind. Its name tells it from inspect-ai's own of the same kind, which differ."""

    @scorer(name=f"ftexp_{kind}", metrics=[mean()])
    def make(name: str, **options: Any) -> Scorer:
        own = ScorerOfSection(name, kind, options)

        async def score(state: TaskState, target: Target) -> Score:
            answer = state.output.completion
            asked = Question(str(state.sample_id), state.epoch, state.input_text, target.text, answer, state.metadata.get("row"))
            verdict = judge(own, [asked])[0]
            value = math.nan if verdict.value is None else verdict.value
            return Score(value=value, answer=answer, explanation=verdict.reason or None)

        return score

    return make


_MAKERS = {kind: _maker(kind) for kind in SCORERS if kind not in (*SLOW, PERPLEXITY)}
