"""A new experiment by the design of another: its experiment.yaml, comments kept, under a new name."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeGuard

import yaml

from ftexp.data.splits import FILE_KEYS
from ftexp.design.spec import check_experiment
from ftexp.ground.errors import UserError, one_line
from ftexp.ground.yaml_line import yaml_line
from ftexp.ground.yamlfile import load_yaml, parse_yaml
from ftexp.life.data_answer import existing_file
from ftexp.life.question_answer import default_answers
from ftexp.life.written_answers import require_written


def from_design(answers: dict[str, Any], template_dir: Path) -> tuple[str, list[tuple[str, str]]]:
    """The given experiment.yaml, comments kept, under the new name and with its data moved to data/raw.

    Returns:
        Its text, and pairs of a data file and its name in data/raw.

    Raises:
        UserError: If the file, its content or its data cannot be used, or an answer stands beside it.
    """
    defaults = default_answers(template_dir)
    twice = [key for key in ("question", "data", "factors") if answers[key] != defaults[key]]
    if twice:
        plural = "s" if len(twice) > 1 else ""
        raise UserError(f"design: {one_line(answers['design'])} says {', '.join(twice)} already. Leave the answer{plural} out.")
    path = existing_file(answers["design"], "design")
    experiment = check_experiment(load_yaml(path), path.name)
    text = path.read_text(encoding="utf-8")
    files: list[tuple[str, str]] = []
    edits = [(node, answers["experiment_name"]) for node in _nodes(text, ("experiment",))]
    for node in _source_nodes(text):
        source = _find_source(node.value, path.parent, template_dir)
        edits.append((node, f"data/raw/{source.name}"))
        files.append((str(source), f"data/raw/{source.name}"))
    before = text
    for node, value in sorted(edits, key=lambda edit: -edit[0].start_mark.index):
        text = text[: node.start_mark.index] + yaml_line(value) + text[node.end_mark.index :]
    files += _own_files(experiment.own_files, path.parent)
    moved = {node.value: value for node, value in edits[1:]}
    wanted = {**_moved(parse_yaml(before, path.name), moved), "experiment": answers["experiment_name"]}
    require_written(text, "experiment.yaml", {"design": ((), wanted)})
    return text, sorted(set(files))


def _moved(document: Any, moved: dict[str, str], key: str = "") -> Any:
    """A document with its data files under their new names."""
    if isinstance(document, dict):
        return {name: _moved(value, moved, str(name)) for name, value in document.items()}
    is_file = key.removeprefix("data.") in (*FILE_KEYS, "data")
    return moved.get(document, document) if is_file and isinstance(document, str) else document


def _find_source(name: str, folder: Path, template_dir: Path) -> Path:
    """A source of a design: relative to its file, or to the caller's folder, or the demo's words."""
    for candidate in (folder / name, Path(os.path.expanduser(name))):
        if os.path.isfile(candidate):
            return Path(os.path.abspath(candidate))  # a link's own name, not that of what it leads to
    demo = template_dir / "data" / Path(name).name
    if name == "data/raw/words.json" and demo.is_file():
        return demo
    raise UserError(f"design: data: there is no file '{one_line(name)}' beside {folder.name}/ or in the folder you are in.")


def _own_files(names: Sequence[str], folder: Path) -> list[tuple[str, str]]:
    """The files of scorers and tasks of one's own, under the same names, with what lies in their folders; chat templates alone.

    Raises:
        UserError: If one is not there.
    """
    files = []
    for name in names:
        if not (folder / name).is_file() or os.path.normpath(name).startswith(("..", "/")):
            key = "evaluation" if name.endswith(".py") else "prompt.template"
            raise UserError(f"design: {key}: there is no file '{one_line(name)}' beside {folder.name}/. Put it there.")
        is_alone = Path(name).parent == Path() or not name.endswith(".py")
        beside = [folder / name] if is_alone else sorted((folder / name).parent.rglob("*"))
        files += [(str(path.absolute()), str(path.relative_to(folder))) for path in beside if path.is_file()]
    return [pair for pair in files if "__pycache__" not in pair[1]]


def _nodes(text: str, key_path: tuple[str, ...]) -> list[yaml.ScalarNode]:
    """The scalar nodes under a path of keys."""
    nodes: list[yaml.Node | None] = [yaml.compose(text, Loader=yaml.SafeLoader)]
    for key in key_path:
        nodes = [value for node in nodes if isinstance(node, yaml.MappingNode) for name, value in node.value if name.value == key]
    return [node for node in nodes if _is_text(node) and node.value]


def _is_text(node: yaml.Node | None) -> TypeGuard[yaml.ScalarNode]:
    """Whether a node is one text, and no share, no null."""
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:str"


def _source_nodes(text: str) -> list[yaml.ScalarNode]:
    """Every place that names a data file: in the data section, in levels that set `data.<key>`, and in tasks."""
    found = [node for key in FILE_KEYS for node in _nodes(text, ("data", key))]
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode), "the document was checked before"
    factors = [value for name, value in root.value if name.value == "factors" and isinstance(value, yaml.MappingNode)]
    for factor in factors:
        for _, levels in factor.value:
            for _, level in levels.value if isinstance(levels, yaml.MappingNode) else []:
                found += [v for k, v in level.value if k.value in [f"data.{key}" for key in FILE_KEYS] and _is_text(v)]
    sections = [value for name, value in root.value if name.value == "evaluation" and isinstance(value, yaml.MappingNode)]
    tasks = [value for section in sections for name, value in section.value if name.value == "tasks"]
    for task in (task for of_all in tasks if isinstance(of_all, yaml.MappingNode) for _, task in of_all.value):
        found += [v for k, v in task.value if k.value == "data"] if isinstance(task, yaml.MappingNode) else []
    return found
