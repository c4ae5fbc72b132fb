"""How a sampled answer is asked for: with a seed of its own, by item and epoch, which the log then tells."""

import hashlib

from inspect_ai.solver import Generate, Solver, TaskState, solver


@solver
def sampled(seed: int) -> Solver:
    """Ask the model once, with the seed of this item in this epoch."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        return await generate(state, seed=stream_of(seed, str(state.sample_id), state.epoch))

    return solve


def stream_of(seed: int, item: str, epoch: int) -> int:
    """The seed of one answer's random numbers: of 52 bits, which JSON and a browser hold exactly.

    It does not depend on the run. Runs that are compared are so asked with the same random numbers, as they are asked the same
    items; items of one prompt have different ones.
    """
    return int(hashlib.sha256(f"{seed} {item} {epoch}".encode()).hexdigest()[:13], 16)
