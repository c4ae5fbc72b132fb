"""What is asked, in words: of a task, and of a design before anything is spent. Nothing is read or written."""

from collections.abc import Mapping, Sequence
from typing import Any

from ftexp.design.evaluation_section import Evaluation
from ftexp.design.run import Run


def asked_in_words(evaluation: Evaluation, runs: Sequence[Run]) -> list[str]:
    """A line per task: of which rows it is, how it is asked, by what it is judged, and of whom, where that is not everybody."""
    lines = []
    for name, task in evaluation.tasks.items():
        asked = [run for run in runs if name in run.tasks]
        whom = "" if len(asked) == len(runs) else f"; asked of {len(asked)} of {len(runs)} runs and controls"
        rows = task["data"]["data"] if "data" in task else task.get("inspect") or "the test rows"
        judged = ", ".join(evaluation.judging[name].names) or "its own scorers"
        lines.append(f"asks: {name}: {rows}; {asking_of_runs(task, asked)}; judged by {judged}{whom}")
    return lines


def asking_of_runs(task: Mapping[str, Any], asked: Sequence[Run]) -> str:
    """How runs are asked a task: those with a head, of which a label is the most probable, and the others."""
    heads = sum(run.has_head for run in asked)
    if not heads:
        return asking_in_words(task)
    by = f"the most probable {'of its options' if task['kind'] == 'options' else 'label'} by a head"
    if heads == len(asked):
        return f"{by}{_prompt(task)}"
    others = "controls" if all(run.is_control for run in asked if not run.has_head) else "runs and controls"
    others = others if len(asked) - heads > 1 else others.partition(" ")[0].removesuffix("s")
    return f"of {heads} runs {by}, of {len(asked) - heads} {others} {asking_in_words(task)}".replace("of 1 runs", "of 1 run")


def asking_in_words(task: Mapping[str, Any]) -> str:
    """How a task is asked: greedy, sampled and how, or by likelihoods."""
    prompt = _prompt(task)
    if task["kind"] == "options":
        return f"log-likelihoods of its options, nothing generated{prompt}"
    if task["kind"] == "document":
        return "log-likelihood of each text"
    if "complete" in task:
        unit, amount = next(iter(task["complete"].items()))
        of_all = f"{amount:g} of its {unit}" if amount < 1 else f"{amount} {unit if amount > 1 else unit.removesuffix('s')}"
        rest = {key: value for key, value in task.items() if key != "complete"}
        return f"each document completed after {of_all}, {asking_in_words(rest)}"
    limit = f"at most {task['max_tokens']} new tokens{prompt}"
    if task["kind"] == "inspect":
        arguments = ", ".join(f"{key}={value!r}" for key, value in task["args"].items())
        return f"a task of inspect-ai ({arguments}), {limit}" if arguments else f"a task of inspect-ai, {limit}"
    if "temperature" not in task:
        return f"greedy, {limit}"
    share = "" if task["top_p"] == 1 else f", top_p {task['top_p']:g}"
    often = "one answer" if task["epochs"] == 1 else f"{task['epochs']} answers"
    return f"sampled at temperature {task['temperature']:g}{share} (seed {task['seed']}), {often} an item, {limit}"


def _prompt(task: Mapping[str, Any]) -> str:
    """What a task says of its own prompt."""
    return "".join(f", {key} {text!r}" for key, text in task.get("prompt", {}).items())
