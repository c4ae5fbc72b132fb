"""Cores: how many there are, and how many threads a stage computes with where it has no GPU."""

import os

MOST_RUNS_ON_CPU = 4


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def runs_on_cpu() -> int:
    """Runs at a time on a machine without a GPU."""
    return min(MOST_RUNS_ON_CPU, available_cores())


def threads_on_cpu() -> int:
    """Threads of one run on a machine without a GPU: the same however many run beside it."""
    return max(1, available_cores() // runs_on_cpu())


def take_own_threads() -> None:
    """Let torch compute with the threads of one run, whoever started this process; OMP_NUM_THREADS, where it is set, decides.

    torch adds up in another order with another number of threads, and a training is another one then, if only in the last digit.
    """
    import torch

    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(threads_on_cpu())
