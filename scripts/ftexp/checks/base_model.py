"""Each base model once: is what the trainer makes of it what transformers makes of it, and what can it do untrained?

Reads the models' folders and the splits. Writes what was found into .scratch/bases/.
"""

from pathlib import Path

from ftexp.checks.verdicts import Verdicts
from ftexp.design.run import Run
from ftexp.ground import paths
from ftexp.ground.errors import UserError
from ftexp.state.base_checks import check_and_remember, place_of, remembered
from ftexp.state.work import Work
from ftexp.trainers.base_check import fits_here, gigabytes_needed
from ftexp.trainers.interface import Config


def check_bases(trained: list[Run], configs: dict[str, Config], verdicts: Verdicts) -> dict[str, str]:
    """Look at the bases of runs with which nothing is wrong so far; a wrong one is an error of each run on it.

    Returns:
        Per base model a line about it.
    """
    work = Work()
    members: dict[Path, list[Run]] = {}
    for run in trained:
        if not verdicts.errors[run.id]:
            members.setdefault(place_of(work, run, configs[run.id]), []).append(run)
    lines = {}
    for place, runs in members.items():
        model, found = runs[0].settings["model"], remembered(place)
        if found is None and not fits_here(model):
            what = f"not checked here: needs {gigabytes_needed(model):.0f} GB of memory; each training job checks it first"
            lines[model] = f"base {model}: {what}"
            continue
        try:
            found = found or check_and_remember(runs[0], configs[runs[0].id], place)
        except UserError as error:
            for run in runs:
                verdicts.add(run.id, errors=[str(error)])
            continue
        objection, lines[model] = found.objection(paths.model_dir(model)), found.in_words(model)
        for run in runs:
            verdicts.add(run.id, errors=[objection] if objection else [])
    return lines
