"""site.yaml: what depends on the machine, and never changes a number."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ftexp.design.run import STAGES
from ftexp.ground import paths
from ftexp.ground.errors import Findings, UserError
from ftexp.ground.yamlfile import load_yaml

BACKENDS = ("local", "slurm")
DEVICES = ("auto", "cpu", "cuda")
RESOURCES = ("time_min", "mem_gb", "cpus", "gpus")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([MB])")
_UNITS = {"M": 1e6, "B": 1e9}
# Slurm's warning may come so much too early (`man sbatch`, --signal).
SIGNAL_EARLY_S = 60
# A model called 7B may have 6.7 billion parameters (Llama 2).
_SIZE_TOLERANCE = 0.9


@dataclass(frozen=True)
class Resources:
    """What one job asks for.

    Attributes:
        time_min: Walltime in minutes.
        mem_gb: Memory in GB.
        cpus: Cores.
        gpus: GPUs; a distributed recipe starts one process on each.
    """

    time_min: int
    mem_gb: int
    cpus: int
    gpus: int


@dataclass(frozen=True)
class Site:
    """Where an experiment runs.

    Attributes:
        backend: `local`: jobs run here, some at a time; `slurm`: through the commands of Slurm.
        models: Folder of base models; relative to the experiment's root, or absolute; `~` is the home folder.
        venv: An existing environment to use if it satisfies the lock; None: make `.venv`.
        conda: The same, by the name or the folder of a conda environment.
        pip_args: Options of `pip install` that say where packages are, for an index or a build of torch.
        device: `auto` takes a GPU where there is one.
        modules: Environment modules that every job loads.
        setup: Shell lines that a job script runs first.
        offline: Whether jobs are told that there is no hub to be asked, and Weights & Biases writes to logs/wandb only.
        wandb_project: Weights & Biases' project that trainings are logged to, besides train.csv; None: none.
        jobs: Runs at a time. None: local: one per GPU, or on a CPU one per core, at most 4; slurm: no limit of ours.
        account, partition, constraint, qos, mail: What sbatch's options of these names get; None: not given.
        train, eval: Resources of a stage's job.
        sizes: Per size of model ("7B") what its jobs ask for instead; the largest size that a model reaches counts.
        submit_cap: Jobs of the user's that the site lets wait and run at once; None: no cap is known.
        array_max: Tasks that one job array may have.
        warn_s: Seconds before the end of the walltime at which a job is warned, stops and asks to be requeued.
        tries: How often a job may start, requeues counted.
        poll_s: Seconds between two questions of `make wait` to Slurm.
        fields: What the lab's own job template names besides the fields that ftexp fills.
    """

    backend: str = "local"
    models: str = "data/models"
    venv: str | None = None
    conda: str | None = None
    pip_args: str = ""
    device: str = "auto"
    modules: tuple[str, ...] = ()
    setup: str = ""
    offline: bool = True
    wandb_project: str | None = None
    jobs: int | None = None
    account: str | None = None
    partition: str | None = None
    constraint: str | None = None
    qos: str | None = None
    mail: str | None = None
    train: Mapping[str, int] = field(default_factory=dict)
    eval: Mapping[str, int] = field(default_factory=dict)
    sizes: Mapping[str, Mapping[str, Mapping[str, int]]] = field(default_factory=dict)
    submit_cap: int | None = None
    array_max: int = 1000
    warn_s: int = 120
    tries: int = 3
    poll_s: int = 30
    fields: Mapping[str, str] = field(default_factory=dict)

    def resources(self, stage: str, parameters: int) -> Resources:
        """What a job of `stage` asks for, of a model with so many parameters."""
        asked = {"time_min": 0, "mem_gb": 0, "cpus": 1, "gpus": 0, **(self.train if stage == "train" else self.eval)}
        for size in sorted(self.sizes, key=_parameters):
            if parameters >= _SIZE_TOLERANCE * _parameters(size):
                asked |= self.sizes[size].get(stage, {})
        return Resources(**asked)


def _parameters(size: str) -> float:
    match = _SIZE.fullmatch(size)
    assert match is not None, "sizes were checked"
    return float(match[1]) * _UNITS[match[2]]


_TEXT, _WHOLE, _LIST, _MAPPING, _FLAG = (str,), (int,), (list,), (dict,), (bool,)
_NULL = (type(None),)
_KINDS: dict[str, tuple[type, ...]] = {
    "backend": _TEXT, "models": _TEXT, "venv": _TEXT + _NULL, "conda": _TEXT + _NULL, "pip_args": _TEXT + _NULL, "device": _TEXT,
    "modules": _LIST + _NULL, "setup": _TEXT + _NULL, "offline": _FLAG, "wandb_project": _TEXT + _NULL,
    "jobs": _WHOLE + _NULL,
    "account": _TEXT + _NULL, "partition": _TEXT + _NULL, "constraint": _TEXT + _NULL, "qos": _TEXT + _NULL,
    "mail": _TEXT + _NULL, "train": _MAPPING, "eval": _MAPPING, "sizes": _MAPPING + _NULL, "submit_cap": _WHOLE + _NULL,
    "array_max": _WHOLE, "warn_s": _WHOLE, "tries": _WHOLE, "poll_s": _WHOLE, "fields": _MAPPING + _NULL,
}
# sbatch reads these from lines of a script in which it knows no blanks and quotes of ours.
_ONE_WORD = re.compile(r"[^\s'\"\\-][^\s'\"\\]*")
_MODULE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]*")
_FIELD = re.compile(r"[a-z][a-z0-9_]*")
# Of Weights & Biases.
_PROJECT = re.compile(r"[^/\\#?%:\s]([^/\\#?%:\n]{0,126}[^/\\#?%:\s])?")


def read_site(path: Path) -> Site:
    """Read and check site.yaml.

    Raises:
        UserError: With every mistake of the file at once.
    """
    document = load_yaml(path)
    if not isinstance(document, dict):
        raise UserError(f"{path.name}: must be a mapping of keys such as backend and models.")
    found = Findings(path.name)
    _check_kinds(found, document)
    found.raise_if_any()  # what follows takes the kinds for granted
    known = {key: value for key, value in document.items() if value is not None}
    _check_choice(found, known, "backend", BACKENDS)
    _check_choice(found, known, "device", DEVICES)
    _check_words(found, known)
    for key in ("jobs", "submit_cap", "array_max", "tries", "poll_s"):
        if known.get(key, 1) < 1:
            found.add(key, f"must be 1 or more{_or_null(key)}, got {known[key]}")
    if known.get("warn_s", 0) < 0:
        found.add("warn_s", f"must be 0 or more seconds, got {known['warn_s']}")
    if "venv" in known and "conda" in known:
        found.add("conda", "stands beside venv, and both name the environment", "Keep one.")
    _check_all_resources(found, known)
    if known.get("backend") == "slurm" and not found.messages:
        _check_together(found, known)
    found.raise_if_any()
    if "modules" in known:
        known["modules"] = tuple(known["modules"])
    if "fields" in known:
        known["fields"] = {name: str(value) for name, value in known["fields"].items()}
    return Site(**known)


def require_link(site: Site) -> None:
    """Check that the link `models` points where site.yaml says.

    Raises:
        UserError: If it points elsewhere.
    """
    folder = Path(site.models).expanduser()
    if paths.MODELS_LINK.is_symlink() and paths.MODELS_LINK.resolve() != folder.resolve():
        raise UserError(f"site.yaml: models: is {folder}, but the link `models` points elsewhere. Run `make setup` again.")


def _check_kinds(found: Findings, document: dict[Any, Any]) -> None:
    for key, value in document.items():
        if key not in _KINDS:
            found.unknown(str(key), _KINDS)
        elif not isinstance(value, _KINDS[key]) or (isinstance(value, bool) and bool not in _KINDS[key]):
            found.add(str(key), f"must be {_words(_KINDS[key])}, got {value!r}")


def _or_null(key: str) -> str:
    return ", or null" if type(None) in _KINDS[key] else ""


def _check_choice(found: Findings, known: dict[str, Any], key: str, choices: tuple[str, ...]) -> None:
    if key in known and known[key] not in choices:
        found.add(key, f"must be one of {', '.join(choices)}, got {known[key]!r}")


def _check_words(found: Findings, known: dict[str, Any]) -> None:
    """Values that sbatch, `module load` or the job template get."""
    for key in ("account", "partition", "constraint", "qos", "mail"):
        if key in known and not _ONE_WORD.fullmatch(known[key]):
            found.add(key, f"must be one word without blanks, quotes and backslashes, not beginning with '-', got {known[key]!r}")
    project = known.get("wandb_project", "ftexp")
    if not _PROJECT.fullmatch(project) or not project.isprintable():
        found.add("wandb_project", f"must be a name of at most 128 characters without / \\ # ? % and ':', got {project!r}")
    for module in known.get("modules", []):
        if not isinstance(module, str) or not _MODULE.fullmatch(module):
            found.add("modules", f"must be names as `module load` takes them, got {module!r}")
    for name, value in known.get("fields", {}).items():
        if not isinstance(name, str) or not _FIELD.fullmatch(name):
            found.add(f"fields.{name}", "a field's name is of lower-case letters, digits and '_'")
        elif not isinstance(value, str | int | float) or isinstance(value, bool) or not str(value).isprintable():
            found.add(f"fields.{name}", f"must be a text on one line or a number, got {value!r}")


def _check_all_resources(found: Findings, known: dict[str, Any]) -> None:
    is_slurm = known.get("backend") == "slurm"
    for stage in STAGES:
        asked = known.get(stage, {})
        _check_resources(found, stage, asked)
        for name in RESOURCES if is_slurm else ():
            if name not in asked:
                what = "is missing, and Slurm has to be asked for something"
                found.add(f"{stage}.{name}", what, f"Set all of {', '.join(RESOURCES)}.")
    for size, stages in known.get("sizes", {}).items():
        if not isinstance(size, str) or not _SIZE.fullmatch(size):
            found.add(f"sizes.{size}", "must be a number of parameters such as 500M or 7B")
        elif not isinstance(stages, dict):
            found.add(f"sizes.{size}", f"must be a mapping of {' and '.join(STAGES)}, got {stages!r}")
        else:
            for stage, asked in stages.items():
                if stage not in STAGES:
                    found.unknown(f"sizes.{size}.{stage}", STAGES)
                else:
                    _check_resources(found, f"sizes.{size}.{stage}", asked)


def _check_together(found: Findings, known: dict[str, Any]) -> None:
    """What no key says by itself: walltime and warning, device and GPUs."""
    asked = {stage: known[stage] for stage in STAGES}
    for size, stages in known.get("sizes", {}).items():
        asked |= {f"sizes.{size}.{stage}": {**known[stage], **more} for stage, more in stages.items()}
    warn_s = known.get("warn_s", Site.warn_s)
    for where, resources in asked.items():
        if warn_s and resources["time_min"] * 60 <= warn_s + SIGNAL_EARLY_S:
            what = f"is {resources['time_min']}, and warn_s is {warn_s}, so a job could be warned of its end as it begins"
            found.add(f"{where}.time_min", what, "Raise it, or lower warn_s.")
        if known.get("device") == "cuda" and not resources["gpus"]:
            found.add(f"{where}.gpus", "is 0, and device is cuda", "Ask for a GPU, or set device: cpu.")


def _check_resources(found: Findings, where: str, asked: Any) -> None:
    if not isinstance(asked, dict):
        found.add(where, f"must be a mapping of {', '.join(RESOURCES)}, got {asked!r}")
        return
    for name, value in asked.items():
        least = 0 if name == "gpus" else 1
        if name not in RESOURCES:
            found.unknown(f"{where}.{name}", RESOURCES)
        elif not isinstance(value, int) or isinstance(value, bool) or value < least:
            found.add(f"{where}.{name}", f"must be a whole number, {least} or more, got {value!r}")


def _words(kinds: tuple[type, ...]) -> str:
    words = {
        "str": "a text", "int": "a whole number", "NoneType": "null", "list": "a list", "dict": "a mapping",
        "bool": "true or false",
    }
    return " or ".join(words[kind.__name__] for kind in kinds)
