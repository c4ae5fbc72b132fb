"""What the effects say, one sentence per factor: size and interval, or that there is nothing to claim.

Nothing is read or written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ftexp.data.answers import Answers
from ftexp.design.fit_of_scores import rare_in_words
from ftexp.effects import Analysis, Measure, detectable, leading_rows
from ftexp.ground.wording import listed
from ftexp.reporting.beware import all_levels_note, more_seeds_notes, notes_on, scope_note, without_chosen
from ftexp.reporting.claim_words import (
    ALPHA,
    averaged_over,
    best_scope,
    better_or_worse,
    claims,
    for_words,
    interaction_in_words,
    interval_in_words,
    measure_in_words,
    not_after_holm,
    range_in_words,
    sentences,
    signed,
)
from ftexp.reporting.number_words import shown

CHOSEN_TEXT = "chosen by its score, so nothing is claimed of it: the best of several levels is best partly by luck"


@dataclass(frozen=True)
class Conclusion:
    """One sentence about `subject`, and what to beware of in it; `is_claim` where an interval excludes 0."""

    subject: str
    text: str
    is_claim: bool
    notes: tuple[str, ...] = ()


def conclusions(table: pd.DataFrame, analysis: Analysis, first: Sequence[Conclusion] = ()) -> list[Conclusion]:
    """Sentences on the primary metric: fine-tuning at all, each factor, interactions; then what to beware of in all of them.

    Args:
        table: What `effects` returned.
        analysis: What it was given.
        first: What stands before these.
    """
    differences = {difference.name.task for difference in analysis.differences}
    own_task = table["task"] == analysis.primary_task if analysis.primary_task else ~table["task"].isin(differences)
    primary = table[(table["metric"] == analysis.primary) & own_task]
    if primary.empty:
        return []
    sizes, analysis = detectable(primary), for_words(analysis, table["task"])
    said = [*first, _of_average(best_scope(primary[primary["kind"] == "average"]), analysis)]
    trends = best_scope(primary[primary["kind"] == "trend"])
    for name in compared_factors(primary, analysis):
        rows = best_scope(leading_rows(primary[primary["factor"] == name]))
        said.append(_of_factor(name, rows, trends[trends["factor"] == name], sizes, analysis))
    said.append(_of_nothing(primary, analysis))
    said.append(_of_interactions(best_scope(primary[primary["kind"] == "interaction"]), analysis))
    said += [_of_difference(best_scope(table[(table["task"] == name.task) & (table["metric"] == name.metric)]), name, analysis)
             for name in (difference.name for difference in analysis.differences)]
    return _with_notes([conclusion for conclusion in said if conclusion], has_choice=bool(analysis.chosen))


def compared_factors(table: pd.DataFrame, analysis: Analysis) -> list[str]:
    """What has a sentence and a figure: in a factorial each factor, else what cells differ in from the baseline (`A, B`)."""
    if analysis.design == "factorial":
        return [name for name, levels in analysis.factors.items() if len(levels) > 1]
    return list(dict.fromkeys(table.loc[table["kind"] == "level", "factor"]))


def _of_nothing(table: pd.DataFrame, analysis: Analysis) -> Conclusion | None:
    """Where no cell can be compared with another because the baseline cell is none of the list."""
    varied = [name for name, levels in analysis.factors.items() if len(levels) > 1]
    if not varied or analysis.design == "factorial" or compared_factors(table, analysis):
        return None
    text = f"{listed(varied)}: nothing to compare; no run is at the baseline ({_at_baseline(varied, analysis)})"
    return Conclusion("baseline", f"{text}. Name the levels of a listed run as `baseline` in experiment.yaml", False)


def thin_classes(references: Mapping[tuple[str, str], Answers], over_labels: Mapping[str, Sequence[str]]) -> list[Conclusion]:
    """A sentence where classes have so few test rows that a metric over classes hangs on single answers.

    Args:
        references: Per run and task the answers that are right.
        over_labels: Per task the metrics that count every label alike.
    """
    tests = {(task, id(answers)): answers for (_, task), answers in references.items()}
    words = dict.fromkeys(filter(None, (rare_in_words(test, over_labels[task]) for (task, _), test in tests.items())))
    return [Conclusion("classes", f"Few test rows: {text}.", False) for text in words]


def _with_notes(said: list[Conclusion], *, has_choice: bool) -> list[Conclusion]:
    """Each sentence with its own notes after it; those that all have stand once, at the end.

    Args:
        has_choice: Whether some sentences claim nothing, and so have none, because a level was chosen.
    """
    noted = [each for each in said if each.notes or not has_choice]
    shared = [note for note in noted[0].notes if note and all(note in other.notes for other in noted)] if len(noted) > 1 else []
    own = [replace(each, text=each.text + sentences([note for note in each.notes if note not in shared])) for each in said]
    last = Conclusion("all", "In all of this: " + " ".join(f"{note}." for note in shared), False)
    return [*own, last] if shared else own


def _of_average(rows: pd.DataFrame, analysis: Analysis) -> Conclusion | None:
    if rows.empty:
        return None
    row = rows.iloc[0]
    if pd.isna(row["low"]):
        text = f"Nothing can be said of fine-tuning{_in_task(analysis)} against the untuned model: {row['reason']}"
        return Conclusion("fine-tuning", text, False)
    how = f"({interval_in_words(row)})"
    notes = (scope_note(rows), *more_seeds_notes(rows), *notes_on(rows, "cells"), all_levels_note(rows, analysis))
    if claims(rows).empty:
        text = f"nothing to claim; the cells average {signed(row['estimate'])} against the untuned model {how}, which covers 0"
        return Conclusion("fine-tuning", f"Fine-tuning{_in_task(analysis)}: {text}", False, notes)
    verb = "raises" if row["estimate"] > 0 else "lowers"
    size = shown(abs(row["estimate"]))
    better = better_or_worse(row["estimate"], analysis.primary, analysis)
    measure = measure_in_words(analysis)
    text = f"Fine-tuning {verb} {measure} by {size} against the untuned model, averaged over the cells {how}{better}"
    return Conclusion("fine-tuning", text, True, notes)


def _in_task(analysis: Analysis) -> str:
    return f" ({measure_in_words(analysis)})" if analysis.primary_task else ""


def _of_factor(name: str, rows: pd.DataFrame, trend: pd.DataFrame, sizes: pd.DataFrame, analysis: Analysis) -> Conclusion | None:
    """One sentence on all levels of a factor."""
    if rows.empty:
        return None
    if name in analysis.chosen:
        return Conclusion(name, f"{name}: {CHOSEN_TEXT}", False)
    known, unknown = rows[rows["low"].notna()], rows[rows["low"].isna()]
    claimed = claims(known)
    open_ = known.drop(claimed.index)
    parts = [_claimed(claimed, analysis)] if len(claimed) else []
    parts += [_trend(trend.iloc[0])] if len(claimed) and len(claims(trend)) else []
    parts += [_nothing_to_claim(open_)] if len(open_) else []
    parts += [f"nothing known of {row['level']} ({row['reason'] or 'no interval'})" for _, row in unknown.iterrows()]
    notes = [scope_note(known), *more_seeds_notes(known), *notes_on(known, "combinations of the other factors' levels")]
    notes += [all_levels_note(known, analysis), _power_note(name, known, sizes) if len(open_) else ""]
    where = _in_task(analysis) if claimed.empty else ""
    text = f"{_setting(name, rows, analysis)}{where}: {'; '.join(parts)}"
    return Conclusion(name, text, bool((claimed["p_holm"] < ALPHA).any()), tuple(notes))


def _setting(name: str, rows: pd.DataFrame, analysis: Analysis) -> str:
    """What is compared, and what the other factors are meanwhile."""
    own = name.split(", ")
    others = [other for other, levels in analysis.factors.items() if len(levels) > 1 and other not in own]
    subject = listed(own) + (" together" if len(own) > 1 else "")
    if not others:
        return subject
    if analysis.design != "factorial":
        return f"{subject}, at {_at_baseline(others, analysis)}"
    is_partial = any(map(averaged_over, rows["reason"].fillna("")))
    return f"{subject}, averaged over {'those cells of ' if is_partial else ''}{listed(others)}" + (
        " that the design has" if is_partial else ""
    )


def _at_baseline(factors: Sequence[str], analysis: Analysis) -> str:
    return ", ".join(f"{name} {analysis.baseline.get(name, analysis.factors[name][0])}" for name in factors)


def _claimed(claimed: pd.DataFrame, analysis: Analysis) -> str:
    """The levels that matter: one in a whole clause, several in a list."""
    first = claimed.iloc[0]
    if len(claimed) == 1:
        verb = "raises" if first["estimate"] > 0 else "lowers"
        size = f"{shown(abs(first['estimate']))} ({interval_in_words(first)}{not_after_holm(first)})"
        better = better_or_worse(first["estimate"], analysis.primary, analysis)
        return f"{first['level']} instead of {first['reference']} {verb} {measure_in_words(analysis)} by {size}{better}"
    rows = [row for _, row in claimed.iterrows()]
    sizes = [f"{signed(row['estimate'])} at {row['level']} ({range_in_words(row)}{not_after_holm(row)})" for row in rows]
    less = "" if analysis.metric(analysis.primary).higher_is_better else "; less is better"
    return f"against {first['reference']}, {measure_in_words(analysis)} changes by {', '.join(sizes)} (95 % intervals{less})"


def _trend(row: "pd.Series[Any]") -> str:
    over = "" if pd.isna(row["reason"]) else averaged_over(row["reason"])
    where = f"{row['level']} over all levels{f' at {over}' if over else ''}"
    return f"by {signed(row['estimate'])} {where} ({interval_in_words(row)})"


def _nothing_to_claim(rows: pd.DataFrame) -> str:
    listed = ", ".join(f"{row['level']} ({signed(row['estimate'])}, {interval_in_words(row)})" for _, row in rows.iterrows())
    covers = "interval covers" if len(rows) == 1 else "intervals cover"
    return f"nothing to claim for {listed} instead of {rows.iloc[0]['reference']}, whose {covers} 0"


def _power_note(name: str, known: pd.DataFrame, sizes: pd.DataFrame) -> str:
    own = sizes[(sizes["factor"] == name) & (sizes["scope"] == known.iloc[0]["scope"])]
    if own.empty or pd.isna(own.iloc[0]["detectable"]):
        return ""
    return f"With 80 % power this many items and seeds show a difference of {shown(own.iloc[0]['detectable'])}"


def _of_difference(rows: pd.DataFrame, name: Measure, analysis: Analysis) -> Conclusion | None:
    """One sentence on a difference between two measures: its size over the cells, and on which factors it depends."""
    own = rows[rows["kind"] == "cells"]
    if own.empty or pd.isna(own.iloc[0]["low"]):
        return None
    row = own.iloc[0]
    subject = f"{name.task}, {name.metric}"
    depends = claims(rows[rows["kind"].isin(["main", "level"])].drop_duplicates(["factor", "level"]))
    depends = depends[depends["p_holm"] < ALPHA]
    is_claim = len(claims(own)) > 0
    size = f"the cells average {signed(row['estimate'])} ({interval_in_words(row)}{not_after_holm(row) if is_claim else ''})"
    verdict = size if is_claim else ("" if len(depends) else "nothing to claim; ") + f"{size}, which covers 0"
    parts = [
        f"it differs by {signed(row['estimate'])} at {row['factor']} {row['level']} instead of {row['reference']} "
        f"({interval_in_words(row)})" for _, row in depends.iterrows()
    ]
    text = f"{subject}: {'; '.join([verdict, *parts])}"
    notes = (scope_note(own), *more_seeds_notes(own), *notes_on(own, "cells"), all_levels_note(own, analysis))
    return Conclusion(subject, text, is_claim or len(depends) > 0, notes)


def _of_interactions(rows: pd.DataFrame, analysis: Analysis) -> Conclusion | None:
    """One sentence on all pairs of factors, of each the largest difference of differences; none of it is of chosen factors."""
    rows, of_chosen = without_chosen(rows, analysis)
    if rows.empty:
        return Conclusion("interactions", f"Interactions: {of_chosen}", False) if of_chosen else None
    known = rows[rows["low"].notna()]
    if known.empty:
        reasons = dict.fromkeys(filter(None, rows["reason"].fillna("")))
        text = "; ".join(filter(None, [f"nothing known ({'; '.join(reasons)})", of_chosen]))
        return Conclusion("interactions", f"Interactions: {text}", False)
    claimed = claims(known)
    claimed = claimed[claimed["p_holm"] < ALPHA]
    unknown = len(rows) - len(known)
    lacking = f"Of {unknown} of {len(rows)} differences of differences nothing is known; the table of effects says why"
    notes = (
        scope_note(known), *more_seeds_notes(known), *notes_on(known, "combinations of the other factors' levels"),
        all_levels_note(known, analysis), *([lacking] if unknown else []), of_chosen[:1].upper() + of_chosen[1:],
    )
    if claimed.empty:
        text = "no factor's effect is shown to depend on another's level (after Holm's correction)"
        return Conclusion("interactions", f"Interactions{_in_task(analysis)}: nothing to claim; {text}", False, notes)
    pairs = []
    for _, of_pair in claimed.groupby("factor", sort=False):
        row = of_pair.iloc[int(np.argmax(of_pair["estimate"].abs().to_numpy()))]
        scale = "; near an end of the scale this may come from the scale alone" if "scale" in row["flags"] else ""
        pairs.append(f"{interaction_in_words(row, analysis)} ({interval_in_words(row)}{scale})")
    return Conclusion("interactions", f"Interactions{_in_task(analysis)}: {'; '.join(pairs)}", True, notes)
