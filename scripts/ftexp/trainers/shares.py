"""How the rows of a batch are shared out to processes: a step sees the same rows whatever their number."""

from collections.abc import Mapping
from typing import Any

from ftexp.ground.errors import UserError


def share_of_batch(settings: Mapping[str, Any], processes: int) -> int:
    """Rows of a batch that each process of a distributed recipe takes, so that a step sees the same rows whatever their number.

    Raises:
        UserError: If they cannot be shared out evenly.
    """
    share, rest = divmod(int(settings["batch_size"]), processes)
    if rest:
        raise UserError(
            f"site.yaml: train.gpus: {processes} processes cannot share out a batch of {settings['batch_size']} rows evenly. "
            "Choose a number of GPUs that divides batch_size."
        )
    return share
