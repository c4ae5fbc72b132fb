"""What `make submit` and `make eval` left for later: for want of room, or because a job of former inputs still runs."""

from collections.abc import Collection

from ftexp.design.run import STAGES
from ftexp.ground import paths
from ftexp.ground.filesystem import read_mapping, write_json


def read() -> dict[str, list[str]]:
    """Runs by stage."""
    known = read_mapping(paths.DEFERRED_JSON, STAGES) or {}
    return {stage: list(known.get(stage, [])) for stage in STAGES}


def replace(stage: str, picked: Collection[str], runs: list[str]) -> None:
    """Leave `runs` for later, in place of all that were picked; what was not stays as it was."""
    known = read()
    kept = [run for run in known[stage] if run not in picked]
    if known[stage] != [*kept, *runs]:
        write_json(paths.DEFERRED_JSON, {**known, stage: [*kept, *runs]})
