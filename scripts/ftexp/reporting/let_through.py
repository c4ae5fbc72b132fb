"""What stands before all other sentences: that runs were let through although something spoke against them.

Nothing is read or written.
"""

from collections import Counter
from collections.abc import Sequence

from ftexp.reporting.conclusions import Conclusion
from ftexp.results.table import RunFacts

_BEWARE = "Read everything below with that in mind."


def let_through(all_facts: Sequence[RunFacts]) -> list[Conclusion]:
    """Runs that went on against their preflight, and those of an untested model; of the reasons the one of most runs is said."""
    forced = [tuple(dict.fromkeys(facts.forced.preflight.values())) for facts in all_facts]
    untested = [facts.forced.untested for facts in all_facts]
    return [
        *_sentence("preflight", "Forced", "went on without a green `make validate`", forced),
        *_sentence("model", "Untested", "are of a model that nobody has tested here", untested),
    ]


def _sentence(subject: str, word: str, what: str, reasons: Sequence[tuple[str, ...]]) -> list[Conclusion]:
    """One where a run has a reason.

    Args:
        reasons: Per run.
    """
    count = sum(map(bool, reasons))
    if not count:
        return []
    most = Counter(reason for of_run in reasons for reason in of_run).most_common(1)[0][0].rstrip(".")
    return [Conclusion(subject, f"{word}: {count} of {len(reasons)} runs {what} ({most}). {_BEWARE}", False)]
