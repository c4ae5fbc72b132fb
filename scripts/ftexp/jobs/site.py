"""site.yaml: what depends on the machine, and never changes a number."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ftexp.ground import paths
from ftexp.ground.errors import Findings, UserError
from ftexp.ground.yamlfile import load_yaml
from ftexp.jobs.resources import (
    GPU_OPTIONS,
    SIZE_TOLERANCE,
    Resources,
    check_all_resources,
    check_together,
    parameters_of,
    read_gpus,
)

BACKENDS = ("local", "slurm")
DEVICES = ("auto", "cpu", "cuda")


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
        exclude: Nodes that jobs are kept off, as sbatch's --exclude takes them.
        gpus_as: The option by which sbatch is asked for GPUs; none: by none, because the partition or the job template does.
        train, eval: Resources of a stage's job.
        sizes: Per size of model ("7B") what its jobs ask for instead; the largest size that a model reaches counts.
        submit_cap: Jobs of the user's that the site lets wait and run at once; None: no cap is known.
        array_max: Tasks that one job array may have.
        warn_s: Seconds before the end of the walltime at which a job is warned, stops and asks to be requeued.
        tries: How often a job may start, requeues counted.
        poll_s: Seconds between two questions of `make wait` to Slurm.
        fields: What the lab's own job template names besides the fields that ftexp fills.
        graders: Per name of inspect-ai's of a grader that a scorer asks, where it is served, if not where its provider looks.
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
    exclude: tuple[str, ...] = ()
    gpus_as: str = "gres"
    train: Mapping[str, int | str] = field(default_factory=dict)
    eval: Mapping[str, int | str] = field(default_factory=dict)
    sizes: Mapping[str, Mapping[str, Mapping[str, int | str]]] = field(default_factory=dict)
    submit_cap: int | None = None
    array_max: int = 1000
    warn_s: int = 120
    tries: int = 3
    poll_s: int = 30
    fields: Mapping[str, str] = field(default_factory=dict)
    graders: Mapping[str, str] = field(default_factory=dict)

    @property
    def asks_for_gpus(self) -> bool:
        """Whether a job script has an option of sbatch that asks for GPUs."""
        asked = [self.train, self.eval, *(stage for size in self.sizes.values() for stage in size.values())]
        return self.gpus_as != "none" and any(read_gpus(each.get("gpus", 0))[0] for each in asked)

    def resources(self, stage: str, parameters: int) -> Resources:
        """What a job of `stage` asks for, of a model with so many parameters."""
        own = self.train if stage == "train" else self.eval
        asked: dict[str, Any] = {"time_min": 0, "mem_gb": 0, "cpus": 1, "gpus": 0, **own}
        for size in sorted(self.sizes, key=parameters_of):
            if parameters >= SIZE_TOLERANCE * parameters_of(size):
                asked |= self.sizes[size].get(stage, {})
        gpus, gpu_type = read_gpus(asked.pop("gpus"))
        return Resources(**asked, gpus=gpus, gpu_type=gpu_type)


_TEXT, _WHOLE, _LIST, _MAPPING, _FLAG = (str,), (int,), (list,), (dict,), (bool,)
_NULL = (type(None),)
_KINDS: dict[str, tuple[type, ...]] = {
    "backend": _TEXT, "models": _TEXT, "venv": _TEXT + _NULL, "conda": _TEXT + _NULL, "pip_args": _TEXT + _NULL, "device": _TEXT,
    "modules": _LIST + _NULL, "setup": _TEXT + _NULL, "offline": _FLAG, "wandb_project": _TEXT + _NULL,
    "jobs": _WHOLE + _NULL,
    "account": _TEXT + _NULL, "partition": _TEXT + _NULL, "constraint": _TEXT + _NULL, "qos": _TEXT + _NULL,
    "mail": _TEXT + _NULL, "exclude": _LIST + _NULL, "gpus_as": _TEXT, "train": _MAPPING, "eval": _MAPPING,
    "sizes": _MAPPING + _NULL, "submit_cap": _WHOLE + _NULL,
    "array_max": _WHOLE, "warn_s": _WHOLE, "tries": _WHOLE, "poll_s": _WHOLE, "fields": _MAPPING + _NULL,
    "graders": _MAPPING + _NULL,
}
# sbatch reads these from lines of a script in which it knows no blanks and quotes of ours.
_ONE_WORD = re.compile(r"[^\s'\"\\-][^\s'\"\\]*")
_MODULE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]*")
_NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[0-9,-]+\])?")
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
    _check_choice(found, known, "gpus_as", tuple(GPU_OPTIONS))
    _check_words(found, known)
    _check_graders(found, known.get("graders", {}))
    for key in ("jobs", "submit_cap", "array_max", "tries", "poll_s"):
        if known.get(key, 1) < 1:
            found.add(key, f"must be 1 or more{_or_null(key)}, got {known[key]}")
    if known.get("warn_s", 0) < 0:
        found.add("warn_s", f"must be 0 or more seconds, got {known['warn_s']}")
    if "venv" in known and "conda" in known:
        found.add("conda", "stands beside venv, and both name the environment", "Keep one.")
    check_all_resources(found, known)
    if known.get("backend") == "slurm" and not found.messages:
        check_together(found, known, known.get("warn_s", Site.warn_s))
    found.raise_if_any()
    for key in ("modules", "exclude"):
        if key in known:
            known[key] = tuple(known[key])
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
    for node in known.get("exclude", []):
        if not isinstance(node, str) or not _NODE.fullmatch(node):
            found.add("exclude", f"must be names of nodes such as n1 or n[3-5], got {node!r}")
    for name, value in known.get("fields", {}).items():
        if not isinstance(name, str) or not _FIELD.fullmatch(name):
            found.add(f"fields.{name}", "a field's name is of lower-case letters, digits and '_'")
        elif not isinstance(value, str | int | float) or isinstance(value, bool) or not str(value).isprintable():
            found.add(f"fields.{name}", f"must be a text on one line or a number, got {value!r}")


def _check_graders(found: Findings, graders: Mapping[Any, Any]) -> None:
    for name, url in graders.items():
        if not (isinstance(name, str) and "/" in name):
            found.add(f"graders.{name}", "must be a name of inspect-ai's such as openai-api/lab/judge")
        elif not (isinstance(url, str) and re.fullmatch(r"https?://\S+", url)):
            found.add(f"graders.{name}", f"must be the address of its server, http://..., got {url!r}")


def _words(kinds: tuple[type, ...]) -> str:
    words = {
        "str": "a text", "int": "a whole number", "NoneType": "null", "list": "a list", "dict": "a mapping",
        "bool": "true or false",
    }
    return " or ".join(words[kind.__name__] for kind in kinds)
