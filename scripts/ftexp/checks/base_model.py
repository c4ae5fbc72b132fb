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


def check_bases(runs: list[Run], configs: dict[str, Config], verdicts: Verdicts) -> dict[str, str]:
    """Look at the bases of runs with which nothing is wrong so far; a wrong one is an error of each run on it.

    Where it is no usable model at all, and not only another in training, its controls have the error too.

    Args:
        configs: Those of the runs that are trained.

    Returns:
        Per base model a line about it.
    """
    work = Work()
    members: dict[Path, list[Run]] = {}
    for run in runs:
        if run.id in configs and not verdicts.errors[run.id]:
            members.setdefault(place_of(work, run, configs[run.id]), []).append(run)
    lines = {}
    for place, own in members.items():
        model, found = own[0].settings["model"], remembered(place)
        if found is None and not fits_here(model):
            what = f"not checked here: needs {gigabytes_needed(model):.0f} GB of memory; each training job checks it first"
            lines[model] = f"base {model}: {what}"
            continue
        try:
            found = found or check_and_remember(own[0], configs[own[0].id], place)
        except UserError as error:
            controls = [run for run in runs if run.is_control and run.settings["model"] == model]
            for run in (run for run in [*own, *controls] if str(error) not in verdicts.errors[run.id]):
                verdicts.add(run.id, errors=[str(error)])
            continue
        objection, lines[model] = found.objection(paths.model_dir(model)), found.in_words(model)
        for run in own:
            verdicts.add(run.id, errors=[objection] if objection else [])
    return lines
