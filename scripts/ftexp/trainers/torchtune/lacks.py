"""What torchtune 0.6.1 does not have, of all that a run may ask, its model aside (see `families`)."""

from ftexp.design.run import Run


def lack_of(run: Run) -> str | None:
    """What of a run it does not have, as the rest of a sentence that begins with its name; None where it has all."""
    if run.settings.get("use_dora"):
        return "exports DoRA adapters wrongly, so that another model would be evaluated than was trained"
    if run.settings.get("head"):
        return "trains no classifier"
    if run.validation:
        return "has no validation"
    return None
