"""The text of a run's eval.py: the definition of its evaluation, a task file that runs by itself."""

import re
from typing import Any

from ftexp.design.run import Run
from ftexp.design.settings import is_quantized
from ftexp.ground import paths

_TEMPLATE = '''"""How run {run} is evaluated. Written by `make stamp` from experiment.yaml; edit that file, not this one.

    inspect eval runs/{run}/eval.py
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from inspect_ai import {names}
from inspect_ai.model import GenerateConfig{import_generate}

from ftexp.evaluation.provider import tuned_model
from ftexp.evaluation.samples import test_samples
from ftexp.evaluation.scorer import {scorer}{import_sampled}


@task(name={name!r})
def evaluation() -> Task:
    return Task(
        dataset=test_samples(
            {file!r},
            system={system!r},
            user={user!r},
            input_column={input!r},
            output_column={output!r},
        ),
        solver={solver},
        scorer={scorer}(),
        model=tuned_model(
            {run!r},
            base={base!r},
            checkpoint={checkpoint!r},
            dtype={dtype!r},{quantized}
            date={date!r},
        ),
        config=GenerateConfig(max_tokens={max_tokens}, {drawn}),{epochs}
        metadata={{"experiment": {name!r}, "run": {run!r}, "kind": {kind!r}}},
    )
'''


def eval_text(run: Run) -> str:
    """eval.py of a run, from the content of its run.yaml."""
    return _TEMPLATE.format(
        run=run.id, kind=run.kind, name=task_name(run.experiment), scorer=run.evaluation["scorer"],
        max_tokens=run.evaluation["max_tokens"], file=str(paths.split_part(run.test_set, "test")),
        system=run.prompt["system"], user=run.prompt["user"], date=run.prompt["date"],
        input=run.data["input"], output=run.data["output"], dtype=run.settings["dtype"],
        base=str(paths.model_dir(run.settings["model"])),
        quantized="\n            quantize_base=True," if is_quantized(run.settings) else "",
        checkpoint=None if run.is_control else str(paths.RunPaths(run.training).checkpoint_dir), **_asking(run.evaluation),
    )


def _asking(evaluation: dict[str, Any]) -> dict[str, str]:
    """The parts of the text that differ between greedy and sampled answers."""
    if "temperature" not in evaluation:
        return {
            "names": "Task, task", "import_generate": "\nfrom inspect_ai.solver import generate", "import_sampled": "",
            "solver": "generate()", "drawn": "temperature=0", "epochs": "",
        }
    return {
        "names": "Epochs, Task, task", "import_generate": "",
        "import_sampled": ", mean_with_answers\nfrom ftexp.evaluation.solver import sampled",
        "solver": f"sampled(seed={evaluation['seed']})",
        "drawn": f"temperature={evaluation['temperature']}, top_p={evaluation['top_p']}",
        "epochs": f"\n        epochs=Epochs({evaluation['epochs']}, mean_with_answers()),",
    }


def task_name(experiment: str) -> str:
    """The task's name in inspect-ai: the experiment's."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", experiment)
