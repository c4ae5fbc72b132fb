"""Whether what an evaluation names besides the data is there: files of one's own, their functions, packages, models of scorers.

Nothing of it is run, but for the package around a module that is named by its dots.
"""

import ast
import importlib.util
from pathlib import Path

from ftexp.design.evaluation_section import Evaluation
from ftexp.design.judging import GRADED, Scorer
from ftexp.design.run import Run
from ftexp.design.tasks import key_of
from ftexp.ground import paths
from ftexp.ground.errors import suggestion


def check_inspect_tasks(run: Run) -> list[str]:
    """Every task of inspect-ai that a run is asked can be found: without it the run's evaluation ends in an error."""
    found = []
    for task in (task for task in run.asked if task.kind == "inspect"):
        place, _, name = str(task.facts["inspect"]).partition("@")
        problem = _of_file(place, name) if place.endswith(".py") else _of_package(place.partition("/")[0])
        found += [f"experiment.yaml: evaluation.tasks.{task.name}.inspect: {problem}"] if problem else []
    return found


def check_scorers(evaluation: Evaluation) -> list[str]:
    """The same of scorers of one's own and of models that scorers name; said only, since answers can be judged later."""
    found = []
    for task, judging in evaluation.judging.items():
        for scorer in judging.scorers:
            problem = _of_scorer(scorer)
            found += [f"experiment.yaml: {key_of(evaluation.tasks, task, 'scorers')}: {problem}"] if problem else []
    return list(dict.fromkeys(found))


def _of_scorer(scorer: Scorer) -> str:
    if scorer.is_own:
        return _of_file(scorer.options["file"], scorer.options["function"])
    if scorer.kind == "semscore" and not paths.model_dir(scorer.options["model"]).is_dir():
        return f"semscore: there is no folder {paths.model_dir(scorer.options['model'])}. Link the model there"
    model = scorer.options.get("model", "/")
    if scorer.kind == GRADED and "/" not in model and not paths.model_dir(model).is_dir():
        what = f"there is no folder {paths.model_dir(model)}, and a name of inspect-ai's has a '/'"
        return f"{GRADED}: {what}. Link the model there"
    return ""


def _of_file(place: str, function: str) -> str:
    """What is wrong with a function in a file of the experiment; empty where nothing is, as far as can be seen from its text."""
    path = Path(place)
    if not path.is_file():
        return f"there is no file {place}. Put it there, or correct the name"
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError) as error:
        line = f"line {error.lineno}: {error.msg}" if isinstance(error, SyntaxError) else str(error)
        return f"{place} is no Python ({line}). Correct it"
    names = _names(tree)
    if function in names or "*" in names:
        return ""
    own = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    return f"{place} has no function {function}. {suggestion(function, own)}".rstrip(".")


def _names(tree: ast.Module) -> set[str]:
    """The names that a module gives something, wherever in it; `*` where it imports whatever there is."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


def _of_package(module: str) -> str:
    """What is wrong with an installed package or module."""
    try:
        is_there = importlib.util.find_spec(module) is not None
    except ImportError:
        is_there = False
    return "" if is_there else f"the package {module} is not installed here. Correct its name, or install it"
