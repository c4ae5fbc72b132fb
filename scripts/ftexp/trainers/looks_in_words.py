"""What a person is told of the looks at a training: the last and the best while it goes on; which step was kept, and why."""

from collections.abc import Mapping, Sequence
from typing import Any

from ftexp.trainers.validation_csv import BEST, LAST, Look, Rule


def looks_so_far(section: Mapping[str, Any], looks: Sequence[Look]) -> str:
    """The last look at a training that goes on, and the best: `validation loss 3.912 (epoch 3; best 3.551, epoch 2)`.

    Args:
        section: `validation` of the run; empty of a training that is not looked at.
    """
    if not looks:
        return ""
    last, best = looks[-1], Rule.of(section).best(looks)
    if best is None:
        how = "none yet is a number"
    elif best.step == last.step:
        how = "the best so far"
    else:
        how = f"best {_value(section, best)}, epoch {best.epoch:.3g}"
    return f"validation {section['metric']} {_value(section, last)} (epoch {last.epoch:.3g}; {how})"


def why_kept(section: Mapping[str, Any], looks: Sequence[Look], steps: int) -> str:
    """Why the step that was kept was: `best validation loss 3.76 of 5 looks; stopped early at step 35 of 112`.

    Args:
        section: `validation` of the run.
        looks: Of a training that has ended, one of them kept.
        steps: Of the whole training.
    """
    kept, metric, of_all = kept_look(looks), section["metric"], f"of {len(looks)} look{'' if len(looks) == 1 else 's'}"
    if kept.kept == BEST:
        why = f"best validation {metric} {_value(section, kept)} {of_all}{_between_equals(metric, kept, looks)}"
    elif section["keep"] == LAST:
        why = f"the last {of_all}, as keep: last asks; validation {metric} {_value(section, kept)}"
    else:
        why = f"the last {of_all}, because no validation {metric} is a number"
    last = looks[-1].step
    return why + (f"; stopped early at step {last} of {steps}" if last < steps else "")


def _between_equals(metric: str, kept: Look, looks: Sequence[Look]) -> str:
    """What decided where other looks were as good; empty where none was."""
    equal = [look for look in looks if look.step != kept.step and look.values[metric] == kept.values[metric]]
    if not equal:
        return ""
    loss_decided, is_first = (any((look.loss == kept.loss) is same for look in equal) for same in (False, True))
    how = "the lower validation loss decided" if loss_decided else "the first was kept"
    then = ", then the order" if loss_decided and is_first else ""
    return f", {len(equal)} other{'s' if len(equal) > 1 else ''} as good: {how}{then}"


def kept_look(looks: Sequence[Look]) -> Look:
    """The look whose step was kept, of a training that has ended."""
    return next(look for look in looks if look.kept)


def _value(section: Mapping[str, Any], look: Look) -> str:
    return format(look.values[section["metric"]], ".4g")
