"""What a training by transformers does not have, of all that a run may ask."""

from ftexp.design.run import Run
from ftexp.design.settings import is_quantized
from ftexp.trainers.interface import Lack


def lack_of(run: Run) -> Lack | None:
    """What of a run it does not have; None where it has all."""
    if is_quantized(run.settings):
        return Lack("transformers", "quantize_base", "quantises by other packages, into other numbers")
    return None
