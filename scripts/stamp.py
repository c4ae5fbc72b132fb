"""Brings every generated file up to date with experiment.yaml, site.yaml and the scripts; instant where nothing changed.

Reads experiment.yaml, site.yaml, job.slurm.template, the data, the models' config.json. Writes runs.csv, code.json, dvc.yaml, the
README's design and runs/<id>/{run.yaml, finetune.yaml, finetune.slurm, eval.py, eval.slurm, dvc.yaml}.
Command: make stamp (python scripts/stamp.py)
"""

import sys
from pathlib import Path

from ftexp.checks.verdicts import grouped
from ftexp.design.planning import folders_not_in_design, make_plan, plan_files, planned_runs, some_of
from ftexp.ground import paths
from ftexp.ground.errors import run_command
from ftexp.ground.events import record_event
from ftexp.ground.filesystem import identity, read_json, sha256_json, write_json
from ftexp.ground.options import read_options
from ftexp.jobs.site import read_site, require_link
from ftexp.jobs.stamping import generate_files
from ftexp.life.readme import renew_readme
from ftexp.life.renaming import renaming_hints
from ftexp.state.generated import read_known_hashes, write_generated
from ftexp.state.run_lock import only_one_make


def main(arguments: list[str]) -> int:
    """Stamp what is stale; 1 where a run cannot be stamped, unless `--usable` asks only that some can.

    With `--options` only the options in the environment are looked at, for targets that begin with stages which read none.
    """
    paths.require_experiment()
    if arguments == ["--options"]:
        read_options().require_picked([run.id for run in planned_runs()])
        return 0
    if _is_fresh():  # asked before the lock, for which a folder that may only be read has no place
        return 0
    with only_one_make("stamp"):
        return 0 if _is_fresh() else _stamp(is_partial=arguments == ["--usable"])


def _is_fresh() -> bool:
    remembered = read_json(paths.STAMP_JSON) if paths.STAMP_JSON.is_file() else {}
    key = remembered.get("key")
    return bool(key) and key == _freshness(remembered.get("sources", []), remembered.get("models", []))


def _stamp(*, is_partial: bool) -> int:
    begun = _written_by_hand()
    site = read_site(paths.SITE_YAML)
    require_link(site)
    experiment, runs = make_plan()
    stamped = generate_files(runs, site, experiment.evaluation.own_files, has_choice=bool(experiment.select))
    changed = write_generated({**plan_files(experiment, runs), **stamped.files})
    renew_readme(experiment, runs)
    _report(changed, stamped.refused, [run.id for run in runs])
    left_behind = folders_not_in_design([run.id for run in runs])
    for hint in renaming_hints(experiment, runs, left_behind):
        print(f"stamp: {hint}", file=sys.stderr)
    if stamped.refused:
        return 0 if is_partial and len(stamped.refused) < len(runs) else 1
    templates = {str(run.template) for run in runs if run.template}
    sources = sorted({str(path) for run in runs for path in run.data_files} | templates)
    configs = {str(paths.model_dir(str(run.settings["model"])) / "config.json") for run in runs}
    models = sorted(configs | {str(Path(run.checkpoint) / "adapter_config.json") for run in runs if run.checkpoint})
    key = _freshness(sources, models) if _written_by_hand() == begun else None  # edited meanwhile: the next call stamps again
    content = {"key": key, "sources": sources, "models": models, "files": read_known_hashes()}
    write_json(paths.STAMP_JSON, content)
    return 0


def _freshness(sources: list[str], models: list[str]) -> str:
    """A hash of what the generated files follow from, and of themselves; contents where small, else size, times and inode."""
    code = sorted(Path(__file__).parent.rglob("*.py"))
    generated = [Path(name) for name in read_known_hashes()]
    return sha256_json({
        "root": str(Path.cwd()),
        "small": _written_by_hand(),
        "large": {
            str(path): identity(path) if path.is_file() else None
            for path in [*code, *map(Path, [*sources, *models]), *generated]
        },
    })


def _written_by_hand() -> dict[str, str | None]:
    """The texts from which everything is generated; None for one that is not there."""
    files = (paths.EXPERIMENT_YAML, paths.SITE_YAML, paths.JOB_TEMPLATE)
    return {str(path): path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None for path in files}


def _report(changed: list[Path], refused: dict[str, str], runs: list[str]) -> None:
    folders = {path.parts[1] for path in changed if path.parts[0] == "runs"}
    if changed:
        print(f"stamp: {len(changed)} files written, in {len(folders)} of {len(runs)} run folders", file=sys.stderr)
        record_event("stamp", f"{len(changed)} files of {len(folders)} runs")
    extra = folders_not_in_design(runs)
    if extra:
        print(f"stamp: not in the design (kept, not reported): {some_of(extra)}", file=sys.stderr)
    for line in grouped({run: [f"not stamped: {reason}"] for run, reason in refused.items()}, "runs.csv"):
        print(line, file=sys.stderr)


if __name__ == "__main__":
    run_command(main)
