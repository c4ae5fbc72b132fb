"""A good experiment.yaml, changed at random: accepted or refused by a message, and no crash."""

import copy
import random
from typing import Any

from ftexp.design.runs import expand
from ftexp.design.spec import check_experiment
from ftexp.ground.errors import UserError
from ftexp.ground.yamlfile import parse_yaml
from helpers.good_document import GOOD

HOSTILE: list[Any] = [
    None,
    True,
    0,
    -1,
    10**400,
    1.5,
    float("nan"),
    float("inf"),
    -0.0,
    "",
    "{",
    "{input",
    "{}",
    "a/b",
    "../x",
    "3e-4",
    "on",
    "${x}",
    "'\"`\n",
    "x" * 300,
    "é",
    [],
    [[]],
    [None],
    {},
    {"a": {}},
    {"": 1},
    {"lr": 1},
    {1: 2},
    b"x",
    [{"a": [1]}],
    {"a": {"lr": 1}, "A": {"lr": 2}},
]


def _nodes(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all nodes below the root."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, child in pairs for found in [(*path, key), *_nodes(child, (*path, key))]]


def _mutate(document: Any, dice: random.Random) -> Any:
    """One to three nodes deleted, replaced or renamed."""
    document = copy.deepcopy(document)
    for _ in range(dice.randint(1, 3)):
        *parents, last = dice.choice(_nodes(document) or [("experiment",)])
        holder = document
        for key in parents:
            holder = holder[key]
        action = dice.choice(("delete", "replace", "replace", "rename", "add"))
        if action == "delete" and last in (holder if isinstance(holder, dict) else range(len(holder))):
            del holder[last]
        elif action in ("rename", "add") and isinstance(holder, dict):
            key = dice.choice(["", "x", 5, None, "lr", "data.split", "data.source", "prompt.user", "a.b", "optimizer.", "model"])
            holder[key] = holder.pop(last) if action == "rename" else copy.deepcopy(dice.choice(HOSTILE))
        else:
            holder[last] = copy.deepcopy(dice.choice(HOSTILE))
    return document


def test_a_random_mutation_is_accepted_or_ends_in_one_message() -> None:
    good, dice, refused = parse_yaml(GOOD, "x"), random.Random(0), 0
    for _ in range(1500):
        document = _mutate(good, dice)
        try:
            for run in expand(check_experiment(document, "experiment.yaml")):
                assert len(run.id) <= 120 and "/" not in run.id
        except UserError as error:
            assert all(line.startswith("experiment.yaml: ") for line in str(error).splitlines() if line), error
            refused += 1
        except Exception as error:
            raise AssertionError(f"{type(error).__name__}: {error}\n{document}") from error
    assert 500 < refused < 1500
