"""Runs that no experiment planned, for tests of what is done with one."""

from typing import Any

from ftexp.design.run import Run

DATA = {
    "source": "data/raw/x.json", "train": None, "test": None, "split": None,
    "input": "input", "output": "output",
}


def a_run(name: str = "r", kind: str = "trained", **given: Any) -> Run:
    """A run of this name; what is not given is empty, or as simple as can be."""
    facts: dict[str, Any] = {
        "levels": {}, "settings": {}, "overrides": {}, "data": DATA, "tasks": {},
        "prompt": {"system": None, "user": "{input}", "date": "2001-02-03"}, **given,
    }
    return Run(experiment="e", id=name, kind=kind, **facts)
