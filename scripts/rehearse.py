"""Rehearses the experiment on this machine's CPU: every stage, with tiny random models, few rows and one epoch.

Reads experiment.yaml, site.yaml, the data, the base models' config.json and tokenizers; ONLY and JOBS in the environment.
Writes rehearsal/, an experiment of its own that is made anew each time, with rehearsal.log; nothing else.
Command: make rehearse [ONLY='<patterns>'] (python scripts/rehearse.py)
"""

import sys
import time
from dataclasses import dataclass
from typing import IO

from ftexp.design.planning import make_plan
from ftexp.design.run import Run
from ftexp.ground import paths
from ftexp.ground.errors import UserError, run_command
from ftexp.ground.options import read_options
from ftexp.jobs.site import Site, read_site, require_link
from ftexp.life.covering_set import covering_runs
from ftexp.life.rehearsal import (
    LOG,
    TEST_ROWS,
    fill_folder,
    has_environment_modules,
    local_site,
    models_without_weights,
    open_folder,
    read_documents,
    require_sound,
    run_make,
    trim_test_rows,
    what_failed,
)
from ftexp.life.small_design import changes_in_words, small_document, small_values
from ftexp.life.tiny_copy import HEADS, LAYERS, WIDTH
from ftexp.trainers.choice import trainer_of

# Relative, since make would part a path at its blanks.
_ENVIRONMENT = ["PYTHON=../.venv/bin/python", "VENV=../.venv"]
_STAGES = [["setup", *_ENVIRONMENT], ["split"], ["validate"], ["submit"], ["eval"], ["report"]]


@dataclass(frozen=True)
class Programme:
    """What is rehearsed of what is planned, and what differs from the real thing, a line each."""

    planned: list[Run]
    chosen: list[Run]
    differences: list[str]


def main(arguments: list[str]) -> int:
    """Rehearse; 1 where a stage fails."""
    paths.require_experiment()
    began = time.monotonic()
    options, site = read_options(), read_site(paths.SITE_YAML)
    require_link(site)
    experiment, runs = make_plan()
    require_sound(runs)
    options.require_picked([run.id for run in runs])
    chosen = covering_runs(runs, options)
    small, has_modules = small_values(experiment, runs), has_environment_modules()
    document, site_document = read_documents()
    differences = _differences(runs, changes_in_words(small), site, has_modules=has_modules)
    programme = Programme(runs, chosen, differences)
    with open_folder() as log:
        _say(f"rehearse: {_counted(chosen)} of {_counted(runs)}, in {paths.REHEARSAL_DIR}/")
        local = local_site(site_document, has_modules=has_modules)
        fill_folder(small_document(document, experiment, small), local, runs, experiment.own_files)
        _run_stages(log, [run.id for run in chosen])
    print(_summary(programme, time.monotonic() - began))
    return 0


def _run_stages(log: IO[str], runs: list[str]) -> None:
    """All stages one after another, a line each.

    Raises:
        UserError: If one fails, with its messages.
    """
    for words in _STAGES:
        ended = run_make(log, words, runs)
        name = words[0]
        _say(f"rehearse: {name:<9}{'done' if ended.code == 0 else 'FAILED'}, {ended.seconds:.0f} s")
        if ended.code != 0:
            raise UserError(f"{what_failed(ended)}\n\nThe rehearsal failed at `make {name}`. All that was printed is in {LOG}.")
        if name == "split":
            trim_test_rows()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _counted(runs: list[Run]) -> str:
    controls = sum(run.kind == "control" for run in runs)
    trained = len(runs) - controls
    parts = [f"{count} {word}{'s' * (count != 1)}" for count, word in ((trained, "run"), (controls, "control")) if count]
    return " and ".join(parts)


def _differences(runs: list[Run], changes: list[str], site: Site, *, has_modules: bool) -> list[str]:
    """What is not as in the experiment, a line each."""
    models = ", ".join(sorted({str(run.settings["model"]) for run in runs}))
    lines = [f"models: random ones of {LAYERS} layers, {HEADS} heads and width {WIDTH} for {models}"]
    lines += [f"{model}: its weights are not here; where they are, `make validate` checks them"
              for model in models_without_weights(runs)]
    lines += [f"test rows: at most {TEST_ROWS} of each split; `make validate` checks all rows", *changes]
    if any(trainer_of(run).objection_to_cpu(run.settings) for run in runs):
        lines.append("torchtune's distributed recipes do not start on a CPU")
    if site.modules and not has_modules:
        lines.append(f"modules: {', '.join(site.modules)} not loaded: this machine has no command `module`")
    if site.backend == "slurm":
        lines.append("Slurm: `make submit DRY=1` shows what it would get")
    return lines


def _summary(programme: Programme, seconds: float) -> str:
    lines = [f"rehearsed: {_counted(programme.chosen)} of {_counted(programme.planned)}, every stage, in {seconds:.0f} s"]
    lines += ["not as in the experiment:", *(f"  {line}" for line in programme.differences)]
    lines += ["its report, in which no number means anything:", f"  {(paths.REHEARSAL_DIR / paths.REPORT_HTML).resolve()}"]
    return "\n".join(lines)


if __name__ == "__main__":
    run_command(main)
