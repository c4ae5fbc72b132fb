"""Job scripts for tests, and a folder with a stub for Python in which they run."""

import os
import subprocess
from pathlib import Path

from conftest import REPOSITORY
from ftexp.ground import paths
from ftexp.jobs.job_script import ScriptFacts, job_script
from ftexp.jobs.resources import Resources
from ftexp.jobs.site import Site
from ftexp.jobs.slurm.arrays import array_script

TEMPLATE = (REPOSITORY / "{{cookiecutter.experiment_name}}" / paths.JOB_TEMPLATE).read_text(encoding="utf-8")
RUN = "r4_lr1e-4"
SUBMISSION = "train-20260101T000000-abcdef"
ASKED = Resources(time_min=240, mem_gb=64, cpus=4, gpus=2)
CLUSTER = Site(
    backend="slurm", device="cuda", modules=("cuda/12.4", "gcc/13.2"), setup="ulimit -c 0\nexport LAB='a b'", account="lab",
    partition="gpu,long", constraint="gpu80|a100", qos="short", mail="ada@lab.edu", tries=5, warn_s=90,
)
STUB = """\
#!/usr/bin/env bash
# Stands for .venv/bin/python: says how it was called, and ends as PAYLOAD says.
{ printf '%s\\n' "$@"; } >called
env -0 >environment
echo "said by the payload"
eval "${PAYLOAD:-}"
"""


def facts_of(root: Path, stage: str = "train") -> ScriptFacts:
    return ScriptFacts(root, stage, RUN, paths.RunPaths(RUN).script(stage), ASKED, processes=2)


def write_program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


def make_root(root: Path) -> Path:
    """A folder in which a job script can run, with a stub for its Python."""
    write_program(root / ".venv/bin/python", STUB)
    (root / "runs" / RUN).mkdir(parents=True)
    return root


def job_environment(tmp_path: Path, **variables: str) -> dict[str, str]:
    """No trace of a job, and a folder of programs that a cluster has, put first."""
    programs = tmp_path / "programs"
    for name in ("module", "scontrol"):
        write_program(programs / name, f'#!/bin/sh\necho "{name} $*" >>"{tmp_path}/asked"\nexit ${{EXIT_{name}:-0}}\n')
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "FTEXP", "HF_", "OMP_"))}
    (tmp_path / "tmp").mkdir(exist_ok=True)
    return {**kept, "PATH": f"{programs}:{os.environ['PATH']}", "TMPDIR": str(tmp_path / "tmp"), **variables}


def run_script(script: Path, tmp_path: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Execute a script from elsewhere."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    environment = job_environment(tmp_path, **variables)
    command = ["bash", str(script), *arguments]
    return subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True, check=False)


def write_script(root: Path, site: Site, template: str = TEMPLATE, stage: str = "train") -> Path:
    path = root / paths.RunPaths(RUN).script(stage)
    path.write_text(job_script(template, site, facts_of(root, stage)), encoding="utf-8")
    return path


def seen_by_payload(root: Path) -> dict[str, str]:
    """The payload's environment."""
    pairs = (root / "environment").read_text(encoding="utf-8").rstrip("\0").split("\0")
    return dict(pair.split("=", 1) for pair in pairs)


def array_text(directives: tuple[str, ...], root: Path, list_path: Path = Path(".scratch/submissions/x.list")) -> str:
    return array_script(
        directives, root=root, submission=SUBMISSION, stage="train", experiment="mine", list_path=list_path,
        script="finetune.slurm",
    )
