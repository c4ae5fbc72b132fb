"""How far the tuned runs are above whoever always gives the commonest answer, in one sentence. Nothing is read or written.

That answerer is a control of one more kind: a run that was asked the same items, and whose answers are known without asking.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ftexp.data.answers import LEAST_TOLD, Answers
from ftexp.effects import Analysis, effects
from ftexp.ground.wording import first_of, listed
from ftexp.reporting.beware import ceiling_notes, more_seeds_notes, scope_note
from ftexp.reporting.claim_words import (
    ALPHA,
    best_scope,
    claims,
    for_words,
    interval_in_words,
    measure_in_words,
    not_after_holm,
    signed,
)
from ftexp.reporting.conclusions import Conclusion
from ftexp.reporting.number_words import shown

# An answer is shown up to so many characters, and so many cells are named.
_SHOWN, _MOST_NAMED = 40, 4


@dataclass(frozen=True)
class Reference:
    """What is right in the rows of the primary task that a run is asked: their name, the answers, and that to each item."""

    rows: str
    answers: Answers
    targets: Mapping[str, str]


def against_majority(
    asked: Mapping[str, Reference], scores: pd.DataFrame, runs: pd.DataFrame, analysis: Analysis
) -> list[Conclusion]:
    """The sentence; none where the commonest answer is so rare that always giving it is as good as being wrong.

    Args:
        asked: Per run that is asked the primary task what is right, where another has answered on the same rows.
        scores: What `effects` reads.
        runs: What `effects` reads beside it.
        analysis: How it reads them.
    """
    own = scores[(scores["metric"] == analysis.primary) & (scores["task"] == analysis.primary_task)]
    there = set(own["run"].unique())
    speakers = {reference.rows: run for run, reference in reversed(list(asked.items())) if run in there}
    tests = {_name(rows): asked[run].answers for rows, run in speakers.items()}
    if all((test.score_of_majority(analysis.primary) or 0.0) < LEAST_TOLD for test in tests.values()):
        return []
    answerers = [_answerer(own[own["run"] == run], asked[run]).assign(run=_name(rows)) for rows, run in speakers.items()]
    floors = [_name(asked[run].rows) if run in asked and asked[run].rows in speakers else "" for run in runs["run"]]
    trained = runs.assign(control=floors)[runs["kind"] == "trained"]
    rows = [{"run": name, "kind": "control", "control": "", "seed": "", "eval_status": "done"} for name in tests]
    of_trained = own[own["run"].isin(set(trained["run"]))]
    table = effects(
        pd.concat([of_trained, *answerers], ignore_index=True), pd.concat([trained, pd.DataFrame(rows)], ignore_index=True),
        replace(analysis, kinds=("control",), groups=(), others=(), differences=()),
    )
    known = best_scope(table) if len(table) else table
    return _sentence(known[known["estimate"].notna()], tests, for_words(analysis, scores["task"]))


def _name(split: str) -> str:
    """An id that no run has."""
    return f"always the same ({split})"


def _answerer(asked: pd.DataFrame, right: Reference) -> pd.DataFrame:
    """The scores of a run that was asked what this one was, and always said the commonest answer."""
    is_right = np.array([right.targets[item].strip() == right.answers.majority for item in asked["item"]], dtype=bool)
    is_of_labels = "prediction" in asked and asked["prediction"].notna().any()
    said = {"prediction": asked["target"][is_right].iloc[0]} if is_of_labels else {"score": is_right.astype(float)}
    return asked.assign(**said)


def _sentence(known: pd.DataFrame, tests: Mapping[str, Answers], analysis: Analysis) -> list[Conclusion]:
    if known.empty:
        return []
    metric = analysis.primary
    sure = known["p_holm"] < ALPHA
    above, below = known[sure & (known["low"] > 0)], known[sure & (known["high"] < 0)]
    unsure = known.drop([*above.index, *below.index])
    floor = _floor_in_words(tests, metric)
    count = f"{len(above)} of {len(known)} cells {'is' if len(above) == 1 else 'are'}"
    subject = "no cell is shown to be" if above.empty else count if len(above) < len(known) else (
        "the tuned runs are" if len(known) == 1 else "both cells are" if len(known) == 2 else f"all {len(known)} cells are")
    means = [row["estimate"] + _floor(tests[row["reference"]], metric) for _, row in known.iterrows()]
    spread = shown(means[0]) if len(means) == 1 else f"{shown(min(means))} to {shown(max(means))}"
    parts = [f"{subject} above {floor}; {'the mean is' if len(means) == 1 else 'the means are'} {spread}"]
    parts += [f"{what}: {_named(rows)}" for what, rows in (("below it", below), ("not told from it", unsure)) if len(rows)]
    notes = (scope_note(known[known["low"].notna()]), *more_seeds_notes(unsure), *ceiling_notes(known))
    return [Conclusion("majority", f"Scores ({measure_in_words(analysis)}): {'; '.join(parts)}", len(above) > 0, notes)]


def _floor_in_words(tests: Mapping[str, Answers], metric: str) -> str:
    """`always saying 'female', 0.518`, of each test set where they differ; for choices with chance."""
    texts = dict.fromkeys(floor_in_words(test, metric) for test in tests.values())
    return f"always saying {listed(list(texts))}" + (" (each test set has its own)" if len(texts) > 1 else "")


def floor_in_words(test: Answers, metric: str) -> str:
    """The commonest answer and what always giving it scores, for choices with chance: `'female', 0.518 (chance 0.500)`."""
    majority = test.majority if len(test.majority) <= _SHOWN else f"{test.majority[:_SHOWN]} ..."
    chance = test.chance(metric)
    return f"'{majority}', {shown(_floor(test, metric))}" + ("" if chance is None else f" (chance {shown(chance)})")


def _floor(test: Answers, metric: str) -> float:
    """What always giving the commonest answer scores, by a metric for which that is known."""
    floor = test.score_of_majority(metric)
    assert floor is not None, f"{metric} has no such floor"
    return floor


def _named(rows: pd.DataFrame) -> str:
    """The first cells with their distance, and where only Holm's correction keeps one from being told apart."""
    apart = claims(rows).index
    notes = [not_after_holm(row) if index in apart else "" for index, row in rows.iterrows()]
    intervals = ["no interval" if pd.isna(row["low"]) else interval_in_words(row) for _, row in rows.iterrows()]
    sizes = [f"{signed(size)}, {interval}" for size, interval in zip(rows["estimate"], intervals, strict=True)]
    cells = [f"{level} ({size}{note})" for level, size, note in zip(rows["level"], sizes, notes, strict=True)]
    return first_of(cells, _MOST_NAMED)
