"""What can change what a stage gives, as hashes; and what of it differs from what was."""

from pathlib import Path
from typing import Any

from ftexp.design.run import Run, Task
from ftexp.design.tasks import task_file
from ftexp.evaluation.eval_file import text_of_asking
from ftexp.ground import paths
from ftexp.ground.errors import UserError
from ftexp.ground.memories import FileHashes
from ftexp.models.folder import small_files, weight_files
from ftexp.state.row_sets import Missing, RowSets, there

_INPUT_WORDS = {
    "config": "finetune.yaml", "rows": "the rows", "validation": "the validation rows", "model": "the base model",
    "code": "the code", "judge": "the scorer that validates",
    "task": "eval.py", "checkpoint": "the checkpoint", "file": "its file", "template": "the chat template",
}


class Inputs:
    """The inputs of trainings and evaluations, from the files that are there now; each is hashed once."""

    def __init__(self, hashes: FileHashes) -> None:
        self.hashes = hashes
        self.sets = RowSets(hashes)
        self._models: dict[str, dict[str, str]] = {}

    def of_training(self, run: Run, code: str) -> dict[str, Any]:
        """The rows are what is in the file as far as it trains, wherever it lies and whatever it was made from."""
        rows = self.sets.trained(run)
        config = there(paths.RunPaths(run.id).finetune_yaml, "make stamp")
        others = {"validation": self.sets.validated(run)} if run.validation else {}
        others |= self._template(run)
        return {
            "config": self.hashes.of_yaml(config, [str(path) for path in (rows, *others.values())]),
            "rows": self.hashes.of_lines(rows, run.steps["train_rows"]),
            **{name: self.hashes.of(path) for name, path in others.items()},
            "model": self.model_files(run.settings["model"]),
            "code": code,
        }

    def of_evaluation(self, run: Run, code: str) -> dict[str, Any]:
        """All but the checkpoint that a training gives.

        Raises:
            Missing: If an input is not there yet.
        """
        asked = {name: self._asking(run, task, name) for task in run.asked for name in task.askings}
        return {"tasks": asked, "model": self.model_files(run.settings["model"]), **self.of_template(run), "code": code}

    def of_template(self, run: Run) -> dict[str, str]:
        """The hash of the file of the chat template, where it is not the model's own."""
        return {name: self.hashes.of(path) for name, path in self._template(run).items()}

    def _template(self, run: Run) -> dict[str, Path]:
        """The file itself; the model's own template is one of the model's files.

        Raises:
            Missing: If it is not there.
        """
        if run.template and not run.template.is_file():
            raise Missing(f"prompt.template: there is no file {run.template}. Put it there, or correct the name")
        return {"template": run.template} if run.template else {}

    def _asking(self, run: Run, task: Task, asking: str) -> dict[str, str]:
        """What the answers to one asking follow from, the model aside: its part of eval.py, and its rows."""
        path = there(paths.RunPaths(run.id).eval_py, "make stamp")
        rows = self.sets.asked(run, task) if task.data else None
        own = task_file(task.facts)
        file = None if own is None else there(Path(own), "the task's file belongs there")
        trained = run.adapter_or_weights
        places = [str(place) for place in (rows, trained, run.template) if place is not None]
        try:
            own_part = self.hashes.of_part(path, asking, lambda text: text_of_asking(text, asking), places)
        except (ValueError, SyntaxError) as error:
            raise Missing(f"{path}: {error}: `make stamp` writes it anew") from error
        return {
            "task": own_part,
            **({} if rows is None else {"rows": self.hashes.of(rows)}),
            **({} if file is None else {"file": self.hashes.of_own_code(file)}),
        }

    def existing_checkpoint(self, folder: str) -> dict[str, str]:
        """The files of an adapter that was trained elsewhere."""
        names = [name for name in ("adapter_config.json", "adapter_model.safetensors") if (Path(folder) / name).is_file()]
        if len(names) < 2:
            raise Missing(f"{folder} holds no adapter_config.json and adapter_model.safetensors")
        return self.hashes.of_folder(Path(folder), names)

    def model_files(self, model: str) -> dict[str, str]:
        """SHA-256 of every file of a base model that loading it can read.

        Raises:
            Missing: If the folder is not there.
        """
        if model not in self._models:
            folder = paths.model_dir(model)
            if not folder.is_dir():
                raise Missing(f"the model's folder {folder} is not there")
            texts = [path.name for path in small_files(folder)]
            try:
                self._models[model] = self.hashes.of_folder(folder, [*texts, *weight_files(folder)])
            except UserError as error:
                raise Missing(str(error)) from error
        return self._models[model]

def agree(given: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether inputs are the same but for what single tasks have of their own."""
    return all(given.get(key) == value for key, value in wanted.items() if key != "tasks") and "tasks" in given


def covers(given: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether what was made from `given` has all that `wanted` would give; a task that is asked no more does not matter."""
    if "tasks" not in wanted:
        return given == wanted
    return agree(given, wanted) and all(given["tasks"].get(name) == asking for name, asking in wanted["tasks"].items())


def changes(given: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """What differs, in words; of the tasks each with its name."""
    changed = [_INPUT_WORDS[key] for key in wanted if key != "tasks" and given.get(key) != wanted[key]]
    known = given.get("tasks", {})
    for name, asking in wanted.get("tasks", {}).items():
        own = [_INPUT_WORDS[key] for key in asking if known.get(name, {}).get(key) != asking[key]]
        if name not in known:
            changed.append(f"task {name} is new")
        elif own:
            changed.append(f"{' and '.join(own)} of task {name}")
    return changed
