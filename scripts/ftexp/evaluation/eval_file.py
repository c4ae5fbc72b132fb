"""The text of a run's eval.py: what it is asked, an inspect-ai task for each asking; a file that runs by itself.

By what answers are judged is not in it: that is read from experiment.yaml when they are, so that another judgement asks nothing.
"""

import ast
import re
from collections.abc import Collection
from typing import Any

from ftexp.design.run import REFERENCE, Run, Task
from ftexp.design.settings import is_quantized
from ftexp.ground import paths

_TEMPLATE = '''"""What run {run} is asked. Written by `make stamp` from experiment.yaml; edit that file, not this one.

    inspect eval runs/{run}/eval.py{one}
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from inspect_ai import {from_inspect}
from inspect_ai.model import {from_model}{import_generate}

{from_ours}

RUN = {{"experiment": {experiment!r}, "run": {run!r}, "kind": {kind!r}}}


def model(date: str) -> Model:
    return tuned_model(
        {run!r},
        base={base!r},
        checkpoint={checkpoint!r},
        dtype={dtype!r},{quantized}{labels}
        date=date,{template}
    )
{loads}{tasks}'''
_TASK = '''

@task(name={asking!r})
def {function}() -> Task:
    return Task(
        dataset={dataset},
        solver={solver},
        scorer={scorer},
        model=model(date={date!r}),{config}
        epochs=Epochs({epochs}, with_answers()),
        metadata={{**RUN, "asking": {asking!r}}},
    )
'''
_INSPECT_TASK = '''

@task(name={asking!r})
def {function}() -> Task:
    return inspect_task(
        {source!r},
        {arguments!r},
        model=model(date={date!r}),
        max_tokens={max_tokens},
        metadata={{**RUN, "asking": {asking!r}}},
    )
'''
# Where what an asking names comes from, in the order of the import lines.
_MODULES = {
    "inspect_task": "evaluation.inspect_task", "load_task": "evaluation.inspect_task",
    "labels_of_head": "evaluation.head_solver",
    "options_likelihoods": "evaluation.likelihood_solvers",
    "reference_likelihood": "evaluation.likelihood_solvers", "document_likelihood": "evaluation.likelihood_solvers",
    "tuned_model": "evaluation.provider", "test_samples": "evaluation.samples", "documents": "evaluation.samples",
    "beginnings": "evaluation.samples",
    "with_answers": "evaluation.scorer",
    "recorded": "evaluation.scorer",
    "sampled": "evaluation.solver", "scorers": "scoring.inspect_scorers",
}


def eval_text(run: Run) -> str:
    """eval.py of a run, from the content of its run.yaml."""
    tasks = "".join(_asking(task, asking, run) for task in run.asked for asking in task.askings)
    names = {"tuned_model", *(node.id for node in ast.walk(ast.parse(tasks)) if isinstance(node, ast.Name))}
    names |= {"load_task"} if "inspect_task" in names else set()
    checkpoint = run.adapter_or_weights
    sources = [task.facts["inspect"] for task in run.asked if task.kind == "inspect"]
    return _TEMPLATE.format(
        run=run.id, kind=run.kind, experiment=run.experiment, base=str(paths.model_dir(run.settings["model"])),
        one="" if len(run.askings) == 1 else f"\n    inspect eval runs/{run.id}/eval.py@{run.askings[0]}",
        checkpoint=None if checkpoint is None else str(checkpoint), dtype=run.settings["dtype"],
        quantized="\n        quantize_base=True," if is_quantized(run.settings) else "",
        labels=f"\n        labels={run.labels!r}," if run.labels else "",
        template=f"\n        template={str(run.template)!r}," if run.template else "",
        from_inspect="Epochs, Task, task" if "Epochs" in names else "Task, task",
        from_model="GenerateConfig, Model" if "GenerateConfig" in names else "Model",
        import_generate="\nfrom inspect_ai.solver import generate" if "generate" in names else "",
        from_ours=_imports(names), tasks=tasks,
        loads="\n\n" + "".join(f"load_task({source!r})\n" for source in sources) if sources else "",
    )


def _imports(names: Collection[str]) -> str:
    by_module: dict[str, list[str]] = {}
    for name in (name for name in _MODULES if name in names):
        by_module.setdefault(_MODULES[name], []).append(name)
    return "\n".join(f"from ftexp.{module} import {', '.join(sorted(found))}" for module, found in by_module.items())


def _asking(task: Task, asking: str, run: Run) -> str:
    """The function of one asking; of a classifier, which writes nothing, its choice."""
    shared = {"asking": asking, "function": "task_" + re.sub(r"\W", "_", asking), "date": task.prompt["date"]}
    facts = task.facts
    if task.kind == "inspect":
        return _INSPECT_TASK.format(**shared, source=facts["inspect"], arguments=facts["args"], max_tokens=facts["max_tokens"])
    scorer = f"scorers({task.name!r})" if _is_answered(task, asking) else "recorded()"
    of_head = {"solver": "labels_of_head()", "config": "", "epochs": 1}
    how = of_head if run.labels else _likelihood(task, asking) or _generation(facts)
    return _TASK.format(**shared, **how, dataset=_dataset(task, asking, run), scorer=scorer)


def _is_answered(task: Task, asking: str) -> bool:
    """Whether an asking gives a text that can be judged."""
    return task.kind != "document" and not asking.endswith(REFERENCE)


def _dataset(task: Task, asking: str, run: Run) -> str:
    """The call that gives the samples."""
    file = str(paths.split_part(task.test_set, "test"))
    if task.kind == "document":
        return f"documents({file!r}, {task.column!r})"
    if task.completes:
        lines = "".join(f"\n            {text}," for text in (
            repr(file), repr(task.column), repr(task.completes), f"base={str(paths.model_dir(run.settings['model']))!r}",
            f"date={task.prompt['date']!r}",
        ))
        return f"beginnings({lines}\n        )"
    prompt = {key: task.prompt[key] for key in ("system", "user")}
    given = {"prompt": prompt, "columns": (task.data["input"], task.data["output"])}
    if task.kind == "options" and asking == task.name:
        given["choices"] = task.facts["choices"]
    lines = "".join(f"\n            {name}={value!r}," for name, value in given.items())
    return f"test_samples(\n            {file!r},{lines}\n        )"


def _likelihood(task: Task, asking: str) -> dict[str, Any]:
    """Solver, config and epochs where nothing is generated; empty where something is."""
    solvers = {"options": "options_likelihoods()", "document": "document_likelihood()"}
    solver = "reference_likelihood()" if asking.endswith(REFERENCE) else solvers.get(task.kind)
    return {"solver": solver, "config": "", "epochs": 1} if solver else {}


def _generation(facts: dict[str, Any]) -> dict[str, Any]:
    """The same of greedy and of sampled answers."""
    drawn = f"temperature={facts['temperature']}, top_p={facts['top_p']}" if "temperature" in facts else "temperature=0"
    return {
        "solver": f"sampled(seed={facts['seed']})" if "temperature" in facts else "generate()",
        "config": f"\n        config=GenerateConfig(max_tokens={facts['max_tokens']}, {drawn}),",
        "epochs": facts.get("epochs", 1),
    }


def text_of_asking(text: str, asking: str) -> str:
    """The part of an eval.py that one asking follows from: its function, and what is outside of all but imports and comments.

    Raises:
        ValueError: If the file does not have it.
    """
    kept, is_there = [], False
    for statement in ast.parse(text).body:
        name = _asking_of(statement)
        is_there |= name == asking
        if name in (None, asking) and not isinstance(statement, ast.Expr | ast.Import | ast.ImportFrom):
            kept.append(ast.unparse(statement))
    if not is_there:
        raise ValueError(f"has no task named {asking!r}")
    return "\n".join(kept)


def _asking_of(statement: ast.stmt) -> str | None:
    """The name in a function's `@task(name=...)`; None of anything else."""
    decorators = statement.decorator_list if isinstance(statement, ast.FunctionDef) else []
    for call in (each for each in decorators if isinstance(each, ast.Call) and getattr(each.func, "id", "") == "task"):
        return next((str(k.value.value) for k in call.keywords if k.arg == "name" and isinstance(k.value, ast.Constant)), None)
    return None
