"""What a config names by a dotted path: a function or a class."""

import importlib
from typing import Any


def component_at(dotpath: str) -> Any:
    """The object of that path.

    Raises:
        ImportError: If there is no such module.
        AttributeError: If it has nothing of that name.
    """
    module, _, name = dotpath.rpartition(".")
    return getattr(importlib.import_module(module), name)
