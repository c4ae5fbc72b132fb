"""site.yaml: what depends on the machine, and never changes a number."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftexp.errors import Findings, UserError
from ftexp.yamlfile import load_yaml

BACKENDS = ("local",)
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class Site:
    """Where an experiment runs.

    Attributes:
        backend: `local`: jobs run here, one after another or some at a time.
        models: Folder of base models; relative to the experiment's root, or absolute; `~` is the home folder.
        venv: An existing environment to use if it satisfies the lock; None: make `.venv`.
        pip_args: Added to every `pip install`, for an index or a build of torch.
        device: `auto` takes a GPU where there is one.
        setup: Shell lines that a job script runs first (`module load ...`).
        jobs: Runs at a time; None: one per GPU, or on a CPU half the cores.
    """

    backend: str = "local"
    models: str = "data/models"
    venv: str | None = None
    pip_args: str = ""
    device: str = "auto"
    setup: str = ""
    jobs: int | None = None


_KINDS: dict[str, tuple[type, ...]] = {
    "backend": (str,), "models": (str,), "venv": (str, type(None)), "pip_args": (str, type(None)), "device": (str,),
    "setup": (str, type(None)), "jobs": (int, type(None)),
}


def read_site(path: Path) -> Site:
    """Read and check site.yaml.

    Raises:
        UserError: With every mistake of the file at once.
    """
    document = load_yaml(path)
    if not isinstance(document, dict):
        raise UserError(f"{path.name}: must be a mapping of keys such as backend and models.")
    found = Findings(path.name)
    for key, value in document.items():
        if key not in _KINDS:
            found.unknown(str(key), _KINDS)
        elif not isinstance(value, _KINDS[key]) or isinstance(value, bool):
            found.add(str(key), f"must be {_words(_KINDS[key])}, got {value!r}")
    _check_choice(found, document, "backend", BACKENDS)
    _check_choice(found, document, "device", DEVICES)
    if isinstance(document.get("jobs"), int) and document["jobs"] < 1:
        found.add("jobs", f"must be 1 or more, or null, got {document['jobs']}")
    found.raise_if_any()
    return Site(**{key: value for key, value in document.items() if value is not None})


def _check_choice(found: Findings, document: dict[str, Any], key: str, choices: tuple[str, ...]) -> None:
    if key in document and document[key] not in choices:
        found.add(key, f"must be one of {', '.join(choices)}, got {document[key]!r}")


def _words(kinds: tuple[type, ...]) -> str:
    return " or ".join({"str": "a text", "int": "a whole number", "NoneType": "null"}[kind.__name__] for kind in kinds)
