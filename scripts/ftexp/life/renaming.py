"""Runs that left the design under their old names: what an experiment.yaml has to say so that their results count again."""

import re

from ftexp.design.levels import id_text
from ftexp.design.planning import read_run
from ftexp.design.run import STAGES, Run
from ftexp.design.runs import abbreviation
from ftexp.design.spec import Experiment
from ftexp.ground import paths
from ftexp.ground.errors import UserError

_FACTS = ("kind", "settings", "overrides", "data", "prompt", "tasks", "checkpoint")


def renaming_hints(experiment: Experiment, runs: list[Run], left_behind: list[str]) -> list[str]:
    """For each factor that was renamed, one line that says how to keep the ids, and with them the results.

    A folder that an earlier design left behind is the same run under another id if it differs in no setting, prompt or data.

    Args:
        left_behind: Ids of folders that are not in the design.
    """
    new = {_fingerprint(run): run for run in runs if run.levels}
    naming: dict[str, str] = {}
    renamed: dict[str, str] = {}
    for name in left_behind:
        if not paths.RunPaths(name).run_yaml.is_file():
            continue
        try:
            old = read_run(name)
        except UserError:  # of a folder that nothing reads any more; there is no hint for it then
            continue
        run = new.get(_fingerprint(old))
        letters = _letters(name, run) if run and _has_results(name) and not _has_results(run.id) else None
        if run and letters:
            renamed[name] = run.id
            naming |= {factor: text for factor, text in letters.items() if text != abbreviation(experiment, factor)}
    if not naming:
        return []
    name, run_id = next(iter(renamed.items()))
    entries = ", ".join(f"{factor}: {letters}" for factor, letters in {**experiment.naming, **naming}.items())
    return [
        f"runs/{name} is runs/{run_id} under its former name, and so for {len(renamed)} in all. "
        f"To keep their results, keep their names: in experiment.yaml, naming: {{{entries}}}"
    ]


def _has_results(run: str) -> bool:
    return any(paths.RunPaths(run).manifest(stage).is_file() for stage in STAGES)


def _fingerprint(run: Run) -> str:
    return repr([getattr(run, name) for name in _FACTS])


def _letters(old_id: str, run: Run) -> dict[str, str] | None:
    """Per factor what stood before its level in the old id; None where the levels themselves have other names."""
    levels = "_".join(f"([A-Za-z0-9.+-]*?){re.escape(id_text(label))}" for label in run.levels.values())
    prefix = "base_" if run.kind == "control" else ""
    match = re.fullmatch(prefix + levels, old_id)
    return dict(zip(run.levels, match.groups(), strict=True)) if match else None
