"""The generated files of an experiment: what they hold, which of them changed, which were edited by hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ftexp.design.run import Run
from ftexp.evaluation.eval_file import eval_text
from ftexp.ground import paths
from ftexp.ground.errors import UserError
from ftexp.ground.yamlfile import dump_yaml
from ftexp.jobs.job_script import ScriptFacts, check_template, job_script
from ftexp.jobs.site import Site
from ftexp.models.config_json import model_parameters
from ftexp.state.code_version import code_versions
from ftexp.state.dvc_files import root_pipeline, run_pipeline
from ftexp.trainers.choice import config_of, name_of_trainer, trainer_of
from ftexp.trainers.recipes import is_distributed
from ftexp.trainers.shares import share_of_batch

CONFIG_HEADER = (
    "# Training config of run {run}, for {trainer}. Written by `make stamp` from experiment.yaml; edit that file, not this one.\n"
    "#   PYTHONPATH=scripts {command} output_dir=ELSEWHERE\n"
)


@dataclass(frozen=True)
class Stamped:
    """Generated texts by path, and the runs that cannot be stamped, with their reasons."""

    files: dict[Path, str]
    refused: dict[str, str]


def generate_files(runs: list[Run], site: Site, own_files: Sequence[str] = (), *, has_choice: bool = False) -> Stamped:
    """The text of every generated file but runs.csv and run.yaml.

    Args:
        own_files: The files that scorers of one's own are in.
        has_choice: Whether levels are chosen on validation.

    Raises:
        UserError: If the job template names a field that nobody sets.
    """
    files: dict[Path, str] = {}
    refused: dict[str, str] = {run.id: "; ".join(run.problems) for run in runs if run.problems}
    template = read_job_template()
    check_template(template, site, str(paths.JOB_TEMPLATE))
    for run in runs:
        if run.problems:
            continue
        try:
            files |= _run_files(run) | _scripts(run, site, template)
        except UserError as error:
            refused[run.id] = str(error)
            run.problems = [str(error)]
            continue
    files[paths.ROOT_DVC_YAML] = root_pipeline(runs, own_files, has_choice=has_choice)
    files[paths.CODE_JSON] = _code_json()
    return Stamped(files, refused)


def read_job_template() -> str:
    """The experiment's template of job scripts.

    Raises:
        UserError: If it is not there.
    """
    if not paths.JOB_TEMPLATE.is_file():
        raise UserError(f"{paths.JOB_TEMPLATE}: is missing. Run `git checkout {paths.JOB_TEMPLATE}`, or copy the template's.")
    return paths.JOB_TEMPLATE.read_text(encoding="utf-8")


def _code_json() -> str:
    import json

    return json.dumps(code_versions(), indent=1) + "\n"


def _run_files(run: Run) -> dict[Path, str]:
    """What a run's numbers follow from; nothing of the site."""
    places, trainer = paths.RunPaths(run.id), trainer_of(run)
    files = {places.eval_py: eval_text(run)}
    if run.trains:
        header = CONFIG_HEADER.format(run=run.id, trainer=name_of_trainer(run), command=trainer.command(run))
        files[places.finetune_yaml] = header + dump_yaml(config_of(run))
    elif not run.is_other:  # whether the trainer knows its base
        config_of(run)
    files[places.dvc_yaml] = run_pipeline(run)
    return files


def _scripts(run: Run, site: Site, template: str) -> dict[Path, str]:
    """A run's job scripts, which belong to the site."""
    files = {}
    for stage in run.stages:
        path = paths.RunPaths(run.id).script(stage)
        asked = site.resources(stage, model_parameters(run.settings["model"]))
        processes = max(1, asked.gpus) if stage == "train" and is_distributed(run.settings["recipe"]) else 1
        share_of_batch(run.settings, processes)
        facts = ScriptFacts(Path.cwd(), stage, run.id, path, asked, processes)
        files[path] = job_script(template, site, facts)
    return files
