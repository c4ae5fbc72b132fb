"""Options scored by their log-likelihood: normalised as lm-evaluation-harness does, and made probabilities."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def normalized(
    conditional: FloatArray, unconditional: FloatArray, options: Sequence[str], normalization: str
) -> FloatArray:
    """Scores of the options of one item; the highest is the model's choice.

    Args:
        conditional: (K,) log-likelihoods of the options after the prompt, in nats.
        unconditional: (K,) those after nothing; read for `unconditional` only.
        options: The K texts.
        normalization: As in lm-evaluation-harness: `none` (acc), by `characters` (acc_norm), by `bytes` of UTF-8 (acc_bytes), or
            less `unconditional` (acc_mutual_info).

    Returns:
        (K,) scores.

    Raises:
        ValueError: If an option is empty and its length divides, or the normalization has another name.
    """
    conditional = np.asarray(conditional, dtype=np.float64)
    if normalization == "none":
        return conditional
    if normalization == "unconditional":
        return conditional - np.asarray(unconditional, dtype=np.float64)
    if normalization not in ("characters", "bytes"):
        raise ValueError(f"no normalization: {normalization}")
    if not all(options):
        raise ValueError("an empty option has no length to divide by")
    lengths = [len(option if normalization == "characters" else option.encode()) for option in options]
    return conditional / np.array(lengths, dtype=np.float64)


def probabilities(scores: FloatArray) -> FloatArray:
    """Softmax over the last axis: (..., K) from 0 to 1, adding up to 1; -inf, but for all of them, is probability 0."""
    scores = np.asarray(scores, dtype=np.float64)
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares: FloatArray = powers / powers.sum(axis=-1, keepdims=True)
    return shares
