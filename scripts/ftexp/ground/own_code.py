"""The code that this process computes with, against what its job says that it is: Python imports once, files can change.

A job reads its code before it imports any of it, and hands that on by an environment variable. Every process that computes a
number imports all of it, looks at the files again, and does not begin where one has become another.
"""

import importlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ftexp.ground.errors import UserError
from ftexp.ground.own_job import CODE_VARIABLE, own_job
from ftexp.ground.source_code import FTEXP, read_source

EDITED = "was edited after this process had begun, which would compute with what it has imported"


class CodeEdited(UserError):
    """The code on disk is not the code that this process began with; nothing is computed with either."""


@contextmanager
def handed_on(files: Mapping[str, str]) -> Iterator[None]:
    """Say to this process and its children of which code the job is: the digest of each file, by its name below ftexp/."""
    os.environ[CODE_VARIABLE] = json.dumps(files)
    try:
        yield
    finally:
        del os.environ[CODE_VARIABLE]


def import_own_code() -> None:
    """Import the code that the job names; nothing where no job names any, as for a `tune run` by hand.

    Raises:
        CodeEdited: If a file is no longer what it was before.
    """
    said = own_job().code
    if said is None:
        return
    for name in json.loads(said):
        importlib.import_module(f"ftexp.{name.removesuffix('.py').removesuffix('/__init__').replace('/', '.')}")
    require_unedited()


def require_unedited() -> None:
    """The files that the job names are still what they were; nothing where no job names any.

    Raises:
        CodeEdited: If not.
    """
    files: dict[str, str] = json.loads(own_job().code or "{}")
    require_same(files, {name: read_source(FTEXP / name)[0] for name in files if (FTEXP / name).is_file()})


def require_same(before: Mapping[str, str], now: Mapping[str, str]) -> None:
    """The files, or packages, of the beginning are those of now.

    Raises:
        CodeEdited: If not; it names them.
    """
    changed = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    if changed:
        names = ", ".join(f"scripts/ftexp/{name}" if name.endswith(".py") else f"the package {name}" for name in changed[:3])
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        raise CodeEdited(f"{names}{more}: {EDITED}. Nothing is lost. Run: make validate, then the same command again.")
