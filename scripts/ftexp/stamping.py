"""The generated files of an experiment: what they hold, which of them changed, which were edited by hand."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftexp import paths
from ftexp.code_version import code_versions
from ftexp.dvc_files import root_pipeline, run_pipeline
from ftexp.errors import UserError
from ftexp.eval_file import eval_text
from ftexp.job_script import job_script
from ftexp.site import Site
from ftexp.torchtune_config import training_config
from ftexp.yamlfile import dump_yaml

CONFIG_HEADER = (
    "# torchtune config of run {run}. Written by `make stamp` from experiment.yaml; edit that file, not this one.\n"
    "#   PYTHONPATH=scripts tune run {recipe} --config runs/{run}/finetune.yaml output_dir=ELSEWHERE\n"
)


@dataclass(frozen=True)
class Stamped:
    """Generated texts by path, and the runs that cannot be stamped, with their reasons."""

    files: dict[Path, str]
    refused: dict[str, str]


def generate_files(runs: list[dict[str, Any]], site: Site) -> Stamped:
    """The text of every generated file but runs.csv and run.yaml."""
    files: dict[Path, str] = {}
    refused: dict[str, str] = {run["run"]: "; ".join(run["problems"]) for run in runs if run["problems"]}
    for run in runs:
        if run["problems"]:
            continue
        try:
            files |= _run_files(run, site)
        except UserError as error:
            refused[run["run"]] = str(error)
            run["problems"] = [str(error)]
    files[paths.ROOT_DVC_YAML] = root_pipeline(runs)
    files[paths.CODE_JSON] = _code_json()
    return Stamped(files, refused)


def _code_json() -> str:
    import json

    return json.dumps(code_versions(), indent=1) + "\n"


def _run_files(run: dict[str, Any], site: Site) -> dict[Path, str]:
    places = paths.RunPaths(run["run"])
    files = {places.eval_py: eval_text(run), places.script("eval"): _script(run, site, "eval")}
    if run["kind"] == "trained":
        header = CONFIG_HEADER.format(run=run["run"], recipe=run["settings"]["recipe"])
        files[places.finetune_yaml] = header + dump_yaml(training_config(run))
        files[places.script("train")] = _script(run, site, "train")
    else:
        training_config({**run, "overrides": {}, "steps": {"train_rows": 0, "steps_per_epoch": 1}})
    files[places.dvc_yaml] = run_pipeline(run)
    return files


def _script(run: dict[str, Any], site: Site, stage: str) -> str:
    return job_script(site, root=Path.cwd(), stage=stage, run=run["run"])
