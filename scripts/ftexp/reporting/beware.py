"""What to beware of in rows of the table of effects, one note each, in words."""

import pandas as pd

from ftexp.effects import Analysis
from ftexp.effects.remarks import ALL_LEVELS, HARD_ONES
from ftexp.ground.wording import listed
from ftexp.reporting.claim_words import averaged_over, missing_runs

_MOST_NAMED = 4


def scope_note(known: pd.DataFrame) -> str:
    """Over what the intervals of these rows are; empty where there is none."""
    if known.empty:
        return ""
    scopes = set(known["scope"])
    if scopes == {"recipe"}:
        return "The intervals are over new items and new seeds"
    return "The intervals are over new items only: one seed says nothing about the next"


def ceiling_notes(known: pd.DataFrame) -> list[str]:
    """A note where means of these rows lie near an end of the scale."""
    is_near = known["flags"].fillna("").str.contains("ceiling").any()
    return ["Some of the means lie within 5 % of an end of the scale, where differences are squeezed"] if is_near else []


def missing_scores_notes(known: pd.DataFrame) -> list[str]:
    """A note where items are left out because some run has no score of them."""
    missing = known["n_missing"].fillna(0).astype(int)
    if not missing.any():
        return []
    row = known.iloc[int(missing.to_numpy().argmax())]
    asked = int(row["n_items"]) + int(row["n_missing"])
    many = f", and {HARD_ONES}" if "missing scores" in str(row["flags"]) else ""
    return [f"Compared are items that all runs have a score of: up to {int(row['n_missing'])} of {asked} are left out{many}"]


def bootstrap_notes(known: pd.DataFrame, metric: str) -> list[str]:
    """Notes where a bootstrap does not bear out the standard errors, or the estimates."""
    flags = known["flags"].fillna("")
    notes = {
        "curved": f"The intervals are rough: a bootstrap of {metric} has standard errors that differ by a third",
        "biased": f"With so few items {metric} is off in one direction (resamples shift it by over a third of a standard error), "
        "so the interval may miss what many items would show",
    }
    return [note for flag, note in notes.items() if flags.str.contains(flag).any()]


def more_seeds_notes(known: pd.DataFrame) -> list[str]:
    """Where seeds are too few to carry the interval of some row: why the widest is wide, and what one more would bring."""
    told = known[known["more_seeds"].fillna("") != ""]
    if told.empty:
        return []
    row = told.iloc[int((told["high"] - told["low"]).to_numpy().argmax())]
    why, _, more = str(row["more_seeds"]).partition("; ")
    if len(known) > 1 and row["level"]:
        more = more.replace("the interval", f"the interval for {row['level']}", 1)
    return [why, more[:1].upper() + more[1:]]


def all_levels_note(known: pd.DataFrame, analysis: Analysis) -> str:
    """A note where rows are averages over every level of a factor of which one was chosen; empty where none is."""
    if not known["flags"].fillna("").str.contains(ALL_LEVELS).any():
        return ""
    names = listed(_chosen(analysis))
    return f"All levels of {names} count here, not only the chosen, which selected.csv has alone"


def without_chosen(rows: pd.DataFrame, analysis: Analysis) -> tuple[pd.DataFrame, str]:
    """Rows on pairs of factors of which none was chosen, and what is to be said of the others; empty where there are none."""
    chosen = _chosen(analysis)
    is_chosen = rows["factor"].map(lambda pair: any(name in chosen for name in pair.split(" x "))).astype(bool)
    if not is_chosen.any():
        return rows, ""
    were = "was" if len(chosen) == 1 else "were"
    return rows[~is_chosen], f"nothing is claimed of those with {' or '.join(chosen)}, which {were} chosen on validation"


def _chosen(analysis: Analysis) -> list[str]:
    """The factors of several levels of which one was chosen, in declared order."""
    return [name for name, levels in analysis.factors.items() if name in analysis.chosen and len(levels) > 1]


def notes_on(known: pd.DataFrame, averaged_over: str) -> list[str]:
    """What to beware of in these rows, which are averages over so many of what is named."""
    notes = [*ceiling_notes(known), *missing_scores_notes(known)]
    notes += bootstrap_notes(known, str(known["metric"].iloc[0])) if len(known) else []
    if "incomplete" in " ".join(known["flags"].fillna("")):
        shares = dict.fromkeys(filter(None, (missing_runs(reason) for reason in known["reason"].fillna(""))))
        if shares:
            lacking = f"{' and '.join(shares)}, and failures may depend on the factor"
            count = int(known["n_strata"].min())
            named = averaged_over if count != 1 else averaged_over.replace("combinations", "combination").replace("cells", "cell")
            notes.append(f"{lacking}; what is left is averaged over {count} {named}")
        notes.append(_over_what(known))
    return notes


def _over_what(known: pd.DataFrame) -> str:
    """Over which cells the rows are averaged, where the design excludes some; nothing where it has all."""
    over = [averaged_over(reason) for reason in known["reason"].fillna("")]
    if not any(over):
        return ""
    if len(set(over)) == 1:
        return f"The design excludes cells: all of this is averaged over {over[0]} only"
    each = [f"{level} over {cells}" for level, cells in zip(known["level"], over, strict=True) if cells]
    named = "; ".join(each) if len(each) <= _MOST_NAMED else "see the table of effects for each"
    return f"The design excludes cells, so that levels are not all averaged over the same ({named} only)"
