"""Log-likelihoods: what probability a model gives to the tokens of a text that follows another, by one pass for each input.

As lm-evaluation-harness defines them (`loglikelihood`): the sum over the continuation's tokens of the natural logarithm of each
one's probability after all tokens before it.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache, PreTrainedModel

from ftexp.ground.errors import UserError

# Token ids of what is given, and of what is scored after it; neither is empty.
Pair = tuple[tuple[int, ...], tuple[int, ...]]

# Tokens of a batch, filling included, and those of them whose logits are wanted: 128,256 of a position take 0.25 MB in bf16.
BATCH_TOKENS = 8192
SCORED_TOKENS = 2048
# Positions at a time whose logits are turned into fp32.
_FP32_ROWS = 256


@dataclass(frozen=True)
class Row:
    """Tokens that go through the model once.

    Attributes:
        ids: The given tokens and the continuation's, but for the last one.
        pairs: All that these tokens answer; more than one where continuations differ in their last token, or pairs overlap.
    """

    ids: tuple[int, ...]
    pairs: tuple[Pair, ...]

    @property
    def scored(self) -> int:
        """How many positions' logits are wanted."""
        return sum(len(continuation) for _, continuation in self.pairs)


def log_likelihoods(model: PreTrainedModel, pad_id: int, pairs: Sequence[Pair]) -> list[list[float]]:
    """Per pair the log-probabilities of the continuation's tokens, in nats.

    Args:
        pad_id: The token that fills up a batch, on the right; it is masked, and comes after all that is scored.

    Raises:
        UserError: If a pair is longer than the model's positions, or the logits are no numbers.
    """
    check_lengths(pairs, model.config.max_position_embeddings, str(model.config.name_or_path))
    found: dict[Pair, list[float]] = {}
    for rows in batches(pairs):
        found.update(score_rows(model, pad_id, rows))
    return [found[pair] for pair in pairs]


def check_lengths(pairs: Iterable[Pair], positions: int, where: str) -> None:
    """Refuse what the model has no positions for; the last token is scored only and needs none.

    Args:
        where: The model's folder, for the message.

    Raises:
        UserError: If a pair is too long.
        ValueError: If one has nothing given or nothing to score.
    """
    for given, continuation in pairs:
        if not given or not continuation:
            raise ValueError("a pair of token lists of which one is empty")
        size = len(given) + len(continuation) - 1
        if size > positions:
            raise UserError(
                f"{where}: max_position_embeddings: the model has {positions} positions, got {len(given)} tokens of a prompt and "
                f"{len(continuation)} of what is scored after it. Leave such rows out, or ask a model with more positions."
            )


def batches(pairs: Iterable[Pair]) -> list[list[Row]]:
    """All pairs in batches that do not depend on their order: by length, so that they hold little filling.

    Equal tokens go through the model once. A batch stays within `BATCH_TOKENS` and `SCORED_TOKENS`, but for one of a single row.
    """
    by_ids: dict[tuple[int, ...], list[Pair]] = {}
    for pair in dict.fromkeys(pairs):
        by_ids.setdefault(pair[0] + pair[1][:-1], []).append(pair)
    made: list[list[Row]] = []
    scored = 0
    for row in sorted((Row(ids, tuple(sorted(its))) for ids, its in by_ids.items()), key=lambda row: (len(row.ids), row.ids)):
        is_full = not made or len(row.ids) * (len(made[-1]) + 1) > BATCH_TOKENS or scored + row.scored > SCORED_TOKENS
        if is_full:
            made.append([])
            scored = 0
        made[-1].append(row)
        scored += row.scored
    return made


def score_rows(model: PreTrainedModel, pad_id: int, rows: Sequence[Row]) -> dict[Pair, list[float]]:
    """The log-probabilities of all pairs of a batch.

    A row that is too long for one pass goes through piece by piece, with a cache of keys and values.

    Raises:
        UserError: If the logits are no numbers.
    """
    width = max(len(row.ids) for row in rows)
    ids = torch.tensor([[*row.ids, *[pad_id] * (width - len(row.ids))] for row in rows], device=model.device)
    mask = torch.tensor([[1] * len(row.ids) + [0] * (width - len(row.ids)) for row in rows], device=model.device)
    places = torch.tensor(_places(rows), device=model.device)
    is_whole = len(rows) > 1 or (width <= BATCH_TOKENS and len(places) <= SCORED_TOKENS)
    piece = width if is_whole else SCORED_TOKENS
    log_probs = torch.zeros(len(places), dtype=torch.float32, device=model.device)
    cache = None if is_whole else DynamicCache(config=model.config)
    with torch.inference_mode():
        for start in range(0, width, piece):
            inside = (places[:, 1] >= start) & (places[:, 1] < start + piece)
            with _head_at(model, places[inside, 0], places[inside, 1] - start):
                output = model(
                    input_ids=ids[:, start : start + piece], attention_mask=mask[:, : start + piece], past_key_values=cache,
                    use_cache=not is_whole,
                )
            log_probs[inside] = _log_probs(output.logits[0], places[inside, 2])
    return _by_pair(rows, log_probs.tolist())


def _places(rows: Sequence[Row]) -> list[tuple[int, int, int]]:
    """Per scored token, in the order of rows, pairs and tokens: its row, the position whose logits tell of it, the token."""
    return [
        (index, len(given) - 1 + step, token)
        for index, row in enumerate(rows) for given, continuation in row.pairs for step, token in enumerate(continuation)
    ]


def _by_pair(rows: Sequence[Row], log_probs: Collection[float]) -> dict[Pair, list[float]]:
    numbers = iter(log_probs)
    return {pair: [next(numbers) for _ in pair[1]] for row in rows for pair in row.pairs}


@contextmanager
def _head_at(model: PreTrainedModel, rows: torch.Tensor, positions: torch.Tensor) -> Iterator[None]:
    """Within it the model gives the logits of these places alone, as (1, places, vocabulary).

    The last layer of all is handed just those hidden states. What a model does to its logits afterwards, as Gemma 2's caps, it
    does to each alike; `logits_to_keep` of transformers takes the same positions of every row.
    """
    head: Any = model.get_output_embeddings()
    handle = head.register_forward_pre_hook(lambda _, given: (given[0][rows, positions][None],))
    try:
        yield
    finally:
        handle.remove()


def _log_probs(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """(places,) in fp32, of logits (places, vocabulary) and tokens (places,).

    Raises:
        UserError: If logits are not numbers.
    """
    assert len(logits) == len(tokens), f"{len(tokens)} positions were asked for, got logits of {len(logits)}"
    parts = zip(logits.split(_FP32_ROWS), tokens.split(_FP32_ROWS), strict=True)
    found = [part.float().log_softmax(-1).gather(1, wanted[:, None])[:, 0] for part, wanted in parts]
    joined = torch.cat(found)
    if not torch.isfinite(joined).all():
        raise UserError("the model's logits are not numbers, so no text has a likelihood. Look at the loss in its train.csv.")
    return joined
