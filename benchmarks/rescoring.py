"""Measures `score` where a finished experiment is judged by one scorer more: 8 runs, each asked 1,000 test items.

Reads the template. Writes nothing outside a temporary folder, which KEEP=<new folder> replaces and keeps; prints one line per
scorer, of `python scripts/score.py`, imports among it. Logs are made by finished_runs.py.
Command: .venv/bin/python benchmarks/rescoring.py
"""

import os
import sys
import time
from pathlib import Path

from experiments import call, experiments_folder, finish_runs, make_experiment

ITEMS, RUNS, LIMIT_S = 1_000, 8, 5.0
SCORERS = ("ignore_case", "{match: '[a-z]+'}", "f1", "rouge_l", "chrf", "numeric", "judged.py@length")
OWN = '''
from inspect_ai.scorer import Score, mean, scorer

@scorer(metrics=[mean()])
def length():
    async def score(state, target):
        return Score(value=len(state.output.completion))
    return score
'''


def main() -> None:
    """Judge by what the experiment names first; then by one scorer more at a time."""
    with experiments_folder() as root:
        folder = make_experiment(root, 10, items=ITEMS)
        design = folder / "experiment.yaml"
        keep_runs(design)
        for verb in ("stamp.py", "split.py"):
            call(folder, [sys.executable, f"scripts/{verb}"])
        finish_runs(folder)
        (folder / "judged.py").write_text(OWN, encoding="utf-8")
        print(f"exact, every log read: {seconds(folder)}", flush=True)
        print(f"nothing to do: {seconds(folder)}", flush=True)
        scorers = ["exact"]
        for scorer in SCORERS:
            before = f"scorers: [{', '.join(scorers)}]" if len(scorers) > 1 else "scorer: exact"
            scorers.append(scorer)
            text = design.read_text(encoding="utf-8")
            if before not in text:
                sys.exit(f"{design}: {before} is not there")
            design.write_text(text.replace(before, f"scorers: [{', '.join(scorers)}]"), encoding="utf-8")
            print(f"{scorer}, one more: {seconds(folder)}, limit {LIMIT_S:.0f} s", flush=True)


def keep_runs(design: Path) -> None:
    """The first of the levels, so that there are so many runs, the control among them."""
    text = design.read_text(encoding="utf-8")
    levels = ", ".join(str(rank) for rank in range(1, 11))
    if levels not in text:
        sys.exit(f"{design}: lora_rank: [{levels}] is not there")
    design.write_text(text.replace(levels, ", ".join(str(rank) for rank in range(1, RUNS))), encoding="utf-8")


def seconds(folder: Path) -> str:
    """Of one process: wall seconds, and those of the processor, which the work of others beside it does not lengthen as much."""
    began, before = time.perf_counter(), os.times()
    call(folder, [sys.executable, "scripts/score.py"])
    took, after = time.perf_counter() - began, os.times()
    processor = after.children_user + after.children_system - before.children_user - before.children_system
    return f"{took:.1f} s ({processor:.1f} of processor time)"


if __name__ == "__main__":
    main()
