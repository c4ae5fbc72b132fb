"""Nodes on which a job of this experiment could not start, as where they do not see its folder: later jobs keep off them."""

import shlex
from collections.abc import Iterable, Mapping

from ftexp.ground import paths
from ftexp.ground.filesystem import read_mapping, write_json
from ftexp.state.status_words import State


def read() -> dict[str, str]:
    """Why jobs keep off a node, by its name."""
    return dict((read_mapping(paths.BAD_NODES_JSON, ("nodes",)) or {"nodes": {}})["nodes"])


def remember(states: Iterable[State]) -> None:
    """Keep off the nodes on which these jobs could not start, until somebody deletes the file."""
    known = read()
    found: Mapping[str, str] = {state.bad_node: f"job {state.job}: {state.reason}" for state in states if state.bad_node}
    if set(found) - set(known):
        write_json(paths.BAD_NODES_JSON, {"nodes": {**found, **known}})


def exclusion(directives: tuple[str, ...]) -> list[str]:
    """The option of sbatch that keeps off them, and off those that a script's own lines exclude, which it replaces."""
    words = [word for line in directives for word in shlex.split(line.removeprefix("#SBATCH"))]
    said = [word.removeprefix("--exclude=") for word in words if word.startswith("--exclude=")]
    bad = list(read())
    return [f"--exclude={','.join([*said, *bad])}"] if bad else []


def in_words() -> str:
    """What to tell of them; empty where there are none."""
    nodes = ", ".join(read())
    return f"kept off {nodes}, where a job could not start. When that is mended, delete {paths.BAD_NODES_JSON}" if nodes else ""
