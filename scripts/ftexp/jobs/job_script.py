"""The bash and sbatch text of jobs: one renderer, pure, everything quoted.

A run's script is the experiment's job.slurm.template, which a lab may edit, filled in. A local shell, `dvc repro` and Slurm
execute the same script, from the experiment's root. An array's script only looks up which run a task is, and executes that
run's.
"""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ftexp.ground.errors import UserError, suggestion
from ftexp.ground.shell_text import shell_contexts
from ftexp.jobs.resources import Resources, gpu_request
from ftexp.jobs.site import Site

_FIELD = re.compile(r"\{\{ *([A-Za-z_][A-Za-z0-9_]*) *\}\}")
_BRACES = re.compile(r"\{\{([^{}\n]*)\}\}")
# Fields of several lines, which stand on a line of their own and are not quoted again.
_BLOCKS = ("sbatch", "guard", "environment", "offline", "wandb")
# What submit says on sbatch's command line, so that runs that differ only here go into one array; a lab's template may
# name and comment a job sent by hand, but not say where it writes and what an array is.
NOT_THE_LABS = ("--output", "--error", "--array", "-o", "-e", "-a")

_GUARD = """\
if [ -z "${{SLURM_JOB_ID:-}}" ]; then
  echo {message} >&2
  exit 1
fi
export FTEXP_SLURM_JOB="$SLURM_JOB_ID"
if [ -n "${{SLURM_CPUS_PER_TASK:-}}" ]; then export OMP_NUM_THREADS="$SLURM_CPUS_PER_TASK"; fi"""
# What lies around a job that is none of Slurm's may be one all the same.
_NO_SLURM_JOB = "unset FTEXP_SLURM_JOB"


@dataclass(frozen=True)
class ScriptFacts:
    """What a run's script is about.

    Attributes:
        root: The experiment's folder, absolute.
        stage: `train` or `eval`.
        path: The script's own path, from the root.
        processes: Processes that a distributed recipe starts; 1 for any other.
    """

    root: Path
    stage: str
    run: str
    path: Path
    resources: Resources
    processes: int = 1


def job_script(template: str, site: Site, facts: ScriptFacts, *, file: str = "job.slurm.template") -> str:
    """The script of one stage of one run.

    Raises:
        UserError: If the template names a field that nobody sets, or quotes one; with every mistake at once.
    """
    own = _fields(site, facts)
    fields = {**own, **site.fields}
    taken = [name for name in site.fields if name in own]
    messages = [f"site.yaml: fields.{name}: ftexp fills this field itself. Choose another name." for name in taken]
    if not str(facts.root).isprintable():
        messages.append(f"{str(facts.root)!r}: the experiment's folder has a line break or the like in its name. Rename it.")
    messages += _mistakes(template, fields, file)
    if messages:
        raise UserError("\n".join(messages))
    lines: list[str] = []
    for line in template.splitlines():
        block = _block_of(line)
        lines += str(fields[block]).splitlines() if block else [_fill(line, fields)]
    return "\n".join(lines) + "\n"


_CURES = {"quotes": "Take the quotes away.", "a here-document": "Use printf, or a variable."}


def check_template(template: str, site: Site, file: str) -> None:
    """Check that a template makes jobs that ask for what the site says and do what they are for.

    Raises:
        UserError: If a field that every script needs is not there, or sbatch would not read or not obey a line.
    """
    used = {match[1] for match in _FIELD.finditer(template)}
    needed = ("root", "stage", "run", *(("sbatch", "guard") if site.backend == "slurm" else ()))
    needed += ("wandb",) if site.wandb_project else ()
    messages = [f"{file}: names no {{{{{name}}}}}: {_NEEDED_FOR[name]}. Put it back." for name in needed if name not in used]
    is_head = True
    for number, line in enumerate(template.splitlines(), start=1):
        is_head = is_head and (not line.strip() or line.startswith("#") or _block_of(line) == "sbatch")
        words = line.removeprefix("#SBATCH").split() if re.match(r"#SBATCH\s", line) else []
        if words and not is_head:
            messages.append(f"{file}: line {number}: sbatch reads no #SBATCH line after the first command. Move it up.")
        for word in words:
            if word.split("=")[0] in _FOR_GPUS and site.asks_for_gpus:
                messages.append(f"{file}: line {number}: {word.split('=')[0]}: {_TWO_REQUESTS}")
            if word.split("=")[0] in NOT_THE_LABS:
                messages.append(f"{file}: line {number}: {word.split('=')[0]} is given by `make submit`. Take it out.")
    if messages:
        raise UserError("\n".join(messages))


_FOR_GPUS = ("--gres", "--gpus", "-G", "--gpus-per-node", "--gpus-per-task", "--gpus-per-socket")
_TWO_REQUESTS = (
    "site.yaml asks for GPUs (gpus, gpus_as), and sbatch would heed one of the two. Take it out and write gpus: <type>:<number> "
    "there, or set gpus_as: none."
)
_NEEDED_FOR = {
    "root": "a script has to enter the experiment's folder", "stage": "a script has to name its stage",
    "run": "a script has to name its run", "sbatch": "without it a job asks for no walltime, no memory and no GPU",
    "guard": "without it a script would train on the login node",
    "wandb": "site.yaml says wandb_project, and without it nothing would be logged there",
}


def _block_of(line: str) -> str | None:
    """The block that a line stands for."""
    match = _FIELD.fullmatch(line.strip())
    return match[1] if match and match[1] in _BLOCKS else None


def _mistakes(template: str, fields: Mapping[str, str | None], file: str) -> list[str]:
    """Fields that nobody sets, and fields that stand where quoting them would not protect the shell."""
    contexts = shell_contexts(template)
    messages = []
    start = 0
    for number, line in enumerate(template.splitlines(keepends=True), start=1):
        where = f"{file}: line {number}: "
        for match in _BRACES.finditer(line):
            name, context = match[1].strip(), contexts[start + match.start()]
            if not _FIELD.fullmatch(match[0]):
                messages.append(f"{where}{match[0]} is no field: a name is of letters, digits and '_'.")
            elif fields.get(name) is None:
                messages.append(_about_unset(where, name, fields))
            elif name in _BLOCKS and not _block_of(line):
                messages.append(f"{where}{match[0]} must stand on a line of its own.")
            elif context not in ("plain", "comment"):
                messages.append(f"{where}{match[0]} stands in {context}, and is quoted when it is filled in. {_CURES[context]}")
        start += len(line)
    return messages


def _fields(site: Site, facts: ScriptFacts) -> dict[str, str | None]:
    """Every field that ftexp fills; None where the profile does not say."""
    asked = facts.resources
    return {
        "title": "Training" if facts.stage == "train" else "Evaluation", "stage": facts.stage, "run": facts.run,
        "root": str(facts.root), "device": site.device, "processes": str(facts.processes), "tries": str(site.tries),
        "time_min": str(asked.time_min), "mem_gb": str(asked.mem_gb), "cpus": str(asked.cpus), "gpus": str(asked.gpus),
        "gpu_type": asked.gpu_type or None,
        "account": site.account, "partition": site.partition, "constraint": site.constraint, "qos": site.qos,
        "mail": site.mail, "warn_s": str(site.warn_s),
        "sbatch": "\n".join(_directives(site, asked)), "guard": _guard(site, facts), "environment": _environment(site),
        "offline": "export HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1 TRANSFORMERS_OFFLINE=1" if site.offline else "",
        "wandb": _wandb(site),
    }


def _directives(site: Site, asked: Resources) -> list[str]:
    if site.backend != "slurm":
        return []
    options: dict[str, object] = {
        "--nodes": 1, "--ntasks": 1, "--cpus-per-task": asked.cpus, "--mem": f"{asked.mem_gb}G", "--time": asked.time_min,
        **gpu_request(asked, site.gpus_as), "--account": site.account, "--partition": site.partition,
        "--exclude": ",".join(site.exclude) or None, "--constraint": site.constraint, "--qos": site.qos, "--mail-user": site.mail,
        "--mail-type": "END,FAIL" if site.mail else None, "--signal": f"B:USR1@{site.warn_s}" if site.warn_s else None,
        "--open-mode": "append",
    }
    return [*(f"#SBATCH {name}={value}" for name, value in options.items() if value is not None), "#SBATCH --requeue"]


def _guard(site: Site, facts: ScriptFacts) -> str:
    """On a cluster nothing is computed on the login node; and whether what Slurm has set is about this job."""
    if site.backend != "slurm":
        return _NO_SLURM_JOB
    what = f"{facts.path}: is the script of a Slurm job, and this is none. Run: make {_TARGETS[facts.stage]}"
    return _GUARD.format(message=shlex.quote(what))


_TARGETS = {"train": "submit", "eval": "eval"}


def _environment(site: Site) -> str:
    lines = [f"module load {shlex.quote(module)}" for module in site.modules]
    return "\n".join([*lines, *site.setup.splitlines()])


def _wandb(site: Site) -> str:
    if site.wandb_project is None:
        return ""
    mode = "offline" if site.offline else "online"
    return f"export FTEXP_WANDB_PROJECT={shlex.quote(site.wandb_project)} FTEXP_WANDB_MODE={mode}"


def _about_unset(where: str, name: str, fields: Mapping[str, str | None]) -> str:
    if name in fields:
        return f"{where}names {{{{{name}}}}}, and site.yaml leaves {name} empty. Set it there, or take the line out."
    cure = suggestion(name, fields)
    return f"{where}names {{{{{name}}}}}, which nobody sets. {cure} A field of your own goes into site.yaml as fields.{name}."


def _fill(line: str, fields: Mapping[str, str | None]) -> str:
    """A line with its fields; quoted for the shell, but in a comment, and so in `#SBATCH`, as it is."""
    is_comment = line.startswith("#")
    return _FIELD.sub(lambda match: str(fields[match[1]]) if is_comment else shlex.quote(str(fields[match[1]])), line)
