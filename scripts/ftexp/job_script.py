"""The bash text of a run's job scripts: one renderer, pure, everything quoted.

A local shell, `dvc repro` and a cluster execute the same script, from the experiment's root. Further runs, given as
arguments, are done in the same process: what makes many short runs cheap.
"""

import shlex
from pathlib import Path

from ftexp.site import Site

_TEMPLATE = """#!/usr/bin/env bash
# {title} of run {run}. Written by `make stamp` from site.yaml; git ignores it.
set -euo pipefail
cd {root}
{setup}export FTEXP_DEVICE={device}
export HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1 TRANSFORMERS_OFFLINE=1 TOKENIZERS_PARALLELISM=false
export PYTHONPATH="scripts${{PYTHONPATH:+:$PYTHONPATH}}"
exec .venv/bin/python scripts/execute.py {stage} {run} "$@"
"""


def job_script(site: Site, *, root: Path, stage: str, run: str) -> str:
    """The script of one stage (`train` or `eval`) of one run."""
    return _TEMPLATE.format(
        title="Training" if stage == "train" else "Evaluation", root=shlex.quote(str(root)), run=shlex.quote(run),
        setup=site.setup.rstrip("\n") + "\n" if site.setup else "", device=shlex.quote(site.device), stage=stage,
    )
