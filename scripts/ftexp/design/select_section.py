"""The section `select` of experiment.yaml: factors whose levels are chosen on validation, and not compared.

Only the standard library is imported here, because the cookiecutter hook runs this code too.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from ftexp.data.splits import VALIDATION, half_of
from ftexp.design.factors import Level
from ftexp.design.run import Run
from ftexp.design.sections import check_keys
from ftexp.design.settings import SEED
from ftexp.design.validation_values import LOSS
from ftexp.ground.errors import Findings
from ftexp.ground.wording import listed

_ALL = "all"


def check_select(found: Findings, section: Any, factors: Collection[str]) -> tuple[str, ...]:
    """The factors that are chosen, in declared order; none where there is no such section."""
    if section is None:
        return ()
    if not isinstance(section, dict):
        found.add("select", f"must be a mapping such as {{by: validation, over: [lr]}}, got {section!r}")
        return ()
    check_keys(found, "select.", section, ("by", "over"))
    by, over = section.get("by", VALIDATION), section.get("over")
    if by != VALIDATION:
        found.add("select.by", f"must be validation, got {by!r}", "A level chosen by its test score is best partly by luck.")
    known = [name for name in factors if name != SEED]
    if "over" not in section:
        found.add("select.over", "is missing", "Name the factors that are chosen, as in over: [lr, epochs], or write all.")
        return ()
    names = known if over == _ALL else [over] if isinstance(over, str) else over
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        found.add("select.over", f"must be a list of factors, or all, got {over!r}", "Write [lr, epochs].")
        return ()
    for name in names:
        if name == SEED:
            found.add("select.over", "a seed is not chosen: runs that differ in their seed alone are replicates", "Remove it.")
        elif name not in known:
            found.unknown(f"select.over: {name}", known, "factor")
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        found.add("select.over", f"names {name} twice", "Remove one.")
    return tuple(name for name in known if name in names)


def check_choice(found: Findings, over: Sequence[str], runs: Sequence[Run]) -> None:
    """The runs among which is chosen are validated, by one metric, on the same rows."""
    if not over:
        return
    unseen = [run.id for run in runs if not run.validation]
    if unseen:
        what = f"chooses by validation, and {len(unseen)} of {len(runs)} runs are not validated, as {unseen[0]}"
        found.add("select", what, "Add `validation: {}`.")
        return
    metrics = sorted({run.validation["metric"] for run in runs})
    if len(metrics) > 1:
        what = f"chooses among runs that are validated by different metrics, got {', '.join(metrics)}"
        found.add("select", what, "Set one validation.metric for all.")
    if _differ(over, runs, _rows):
        what = f"runs that differ in {listed(over)} are validated by different rows, so that none of them is the best"
        found.add("select.over", what, "Name one file for all: data.validation.")
    if metrics == [LOSS] and _differ(over, runs, lambda run: run.settings["loss"]):
        what = "runs of loss: completion and of loss: full are validated by the loss of different tokens"
        found.add("select.over", what, "Choose by a scorer: validation.metric.")
    if metrics == [LOSS] and _differ(over, runs, lambda run: str(run.settings.get("head"))):
        what = "runs with a head and runs without are validated by the loss of a label and of a token"
        found.add("select.over", what, "Choose by a scorer: validation.metric.")


def _rows(run: Run) -> str:
    """What says which rows validate a run."""
    file = run.data.get(VALIDATION)
    columns = [run.data.get(key) for key in ("text", "input", "output")]
    return repr((file, *columns) if isinstance(file, str) else half_of(run.data, "train"))


def _differ(over: Collection[str], runs: Iterable[Run], what: Callable[[Run], str]) -> bool:
    """Whether runs among which is chosen differ in something."""
    found: dict[str, set[str]] = {}
    for run in runs:
        others = {name: level for name, level in run.levels.items() if name not in (*over, SEED)}
        found.setdefault(repr(others), set()).add(what(run))
    return any(len(values) > 1 for values in found.values())


def without_choice(over: Sequence[str], factors: Mapping[str, Sequence[Level]]) -> list[str]:
    """A caution for each chosen factor that has one level."""
    alone = [name for name in over if len(factors[name]) == 1]
    return [f"experiment.yaml: select.over: {name} has one level, so that nothing is chosen. Give it more, or take it out"
            for name in alone]


def tokens_differ(over: Sequence[str], runs: Sequence[Run]) -> list[str]:
    """A caution where models are chosen among by a loss per token, which is comparable between equal tokenizers only."""
    by_loss = [run for run in runs if run.validation.get("metric") == LOSS]
    if not over or not _differ(over, by_loss, lambda run: str(run.settings["model"])):
        return []
    what = "chooses among base models by the loss of a token, which says nothing where their tokenizers differ"
    return [f"experiment.yaml: select.over: {what}. Choose by a scorer there: validation.metric"]
