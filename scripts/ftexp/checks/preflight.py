"""Every check of `make validate`, in one process for all runs. None stops the others; what is alike is checked once."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from ftexp.checks.base_model import check_bases
from ftexp.checks.cost import Cost, cost_of
from ftexp.checks.design_check import (
    check_comparisons,
    check_design,
    check_differences,
    check_distinct,
    check_effective_batch,
)
from ftexp.checks.model_check import check_model_folder, check_tested
from ftexp.checks.read_back import check_eval_file, check_read_back
from ftexp.checks.source_check import check_inspect_tasks, check_scorers
from ftexp.checks.token_check import TokenReport, check_tokens
from ftexp.checks.verdicts import Verdicts
from ftexp.design.run import Run
from ftexp.design.settings import MASTER_WEIGHTS
from ftexp.design.spec import read_experiment
from ftexp.ground import paths
from ftexp.ground.errors import UserError
from ftexp.ground.yamlfile import load_yaml
from ftexp.models.chat import Chat
from ftexp.trainers.choice import runs_by_trainer
from ftexp.trainers.interface import Sizes
from ftexp.trainers.recipes import is_lora

Config = dict[str, Any]


@dataclass
class Preflight:
    """What the checks found beside the verdicts.

    Attributes:
        examples: Per distinct prompt one rendered training row: `{"run", "text"}`.
        costs: Per trained run that could be counted.
        bases: Per base model a line about what it can do, or why it was not looked at.
    """

    examples: list[dict[str, str]] = field(default_factory=list)
    costs: dict[str, Cost] = field(default_factory=dict)
    bases: dict[str, str] = field(default_factory=dict)


def check_runs(runs: list[Run], verdicts: Verdicts) -> Preflight:
    """Run every check on runs whose files are there, adding to `verdicts`."""
    trained = [run for run in runs if run.kind == "trained"]
    of_trainings = {name: _read_config(name) for name in dict.fromkeys(run.training for run in trained)}
    configs = {run.id: of_trainings[run.training] for run in trained}
    experiment = read_experiment(paths.EXPERIMENT_YAML)
    judged_by = check_scorers(experiment.evaluation)
    for run in runs:
        untested, allowed = check_tested(run)
        of_files = [*check_eval_file(run), *check_inspect_tasks(run), *untested]
        verdicts.add(run.id, errors=of_files, warnings=[*judged_by, *allowed])
    _check_configs(trained, configs, verdicts)
    sizes = _check_models(runs, configs, verdicts)
    factors = experiment.factors
    of_design = [*check_distinct(trained, configs), *check_effective_batch(trained, factors)]
    for name, message in [*check_differences(trained, configs, factors), *of_design]:
        verdicts.add(name, errors=[message])
    of_whole = [*check_design(trained), *check_comparisons(experiment)]
    for run in trained:
        verdicts.add(run.id, warnings=of_whole)
    reports = _check_rows(runs, verdicts)
    costs = {
        run.id: cost_of(run, sizes[run.id], reports[run.id].lengths)
        for run in trained if run.trains and run.id in sizes and reports[run.id].lengths
    }
    return Preflight(_examples(trained, reports), costs, check_bases(runs, configs, verdicts))


def _read_config(run: str) -> Config:
    """finetune.yaml, `${...}` in place. OmegaConf, ten times as slow, would read the same (a test)."""
    path = paths.RunPaths(run).finetune_yaml
    config: Config = load_yaml(path, str(path))
    return config


def _check_configs(trained: list[Run], configs: dict[str, Config], verdicts: Verdicts) -> None:
    """Each config by itself, and that it says what was declared."""
    for trainer, runs in runs_by_trainer(trained):
        found = trainer.check_configs(runs, configs)
        for run in runs:
            of_config, of_declared = found[run.id], check_read_back(run, configs[run.id])
            verdicts.add(run.id, errors=[*of_config, *of_declared], warnings=[*_check_rate(run), *_check_precision(run)])


def _check_rate(run: Run) -> list[str]:
    lr = run.settings["lr"]
    return [f"experiment.yaml: lr: is {lr}, and above 1 a training diverges as a rule. Check the exponent"] if lr > 1 else []


def _check_precision(run: Run) -> list[str]:
    """In bf16 the weights themselves, where these are trained, lose small steps."""
    settings = run.settings
    if settings["dtype"] == "fp32" or settings.get(MASTER_WEIGHTS) or is_lora(settings["recipe"]):
        return []
    what = f"is {settings['dtype']}, in which a full fine-tune loses every step that is smaller than 1/256 of a weight"
    return [f"experiment.yaml: dtype: {what}. Set {MASTER_WEIGHTS}: true (8 more bytes a parameter), or dtype: fp32"]


def _check_models(runs: list[Run], configs: dict[str, Config], verdicts: Verdicts) -> dict[str, Sizes]:
    """The base weights against each model that is built, once per model; not where the config is wrong already.

    What is wrong with a model's files concerns its controls too.

    Returns:
        Per trained run how large its model is, as far as it could be built.
    """
    sizes: dict[str, Sizes] = {}
    of_files: dict[str, list[str]] = {}
    sound = [run for run in runs if run.id in configs and not verdicts.errors[run.id]]
    for trainer, members in runs_by_trainer(sound):
        for name, check in trainer.check_models({run.id: configs[run.id] for run in members}).items():
            verdicts.add(name, errors=[*check.of_model, *check.of_files])
            of_files.setdefault(check.folder, check.of_files)
            sizes |= {name: check.sizes} if check.sizes else {}
    for control in (run for run in runs if run.kind == "control"):
        verdicts.add(control.id, errors=of_files.get(str(paths.model_dir(control.settings["model"])), []))
    return sizes


def _check_rows(runs: list[Run], verdicts: Verdicts) -> dict[str, TokenReport]:
    """The model's folder once per model, the tokens once per distinct model, prompt, split, loss and head.

    Of runs that differ in their number of rows the one with most is looked at: the others train on its first rows.
    """
    groups: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        groups[_token_key(run)].append(run)
    chats: dict[str, Chat | str] = {}
    folders: dict[str, tuple[list[str], list[str]]] = {}
    reports: dict[str, TokenReport] = {}
    for members in groups.values():
        largest = max(members, key=lambda run: run.steps.get("train_rows", 0))
        model, chat = largest.settings["model"], _chat(largest, chats)
        if isinstance(chat, str):
            report = TokenReport(errors=[chat])
        else:
            folder = repr((model, largest.template))
            if folder not in folders:
                folders[folder] = check_model_folder(paths.model_dir(model), chat)
            report = _tokens_or_why_not(largest, chat)
            report.errors = [*folders[folder][0], *report.errors]
            report.warnings = [*folders[folder][1], *report.warnings]
        for run in members:
            verdicts.add(run.id, errors=report.errors, warnings=report.warnings)
            reports[run.id] = report
    return reports


def _token_key(run: Run) -> str:
    settings = run.settings
    limits = settings["max_seq_len"], run.validation.get("max_tokens")
    return repr((settings["model"], run.prompt, run.row_sets, run.tasks, limits, settings["loss"], run.labels))


def _chat(run: Run, known: dict[str, Chat | str]) -> Chat | str:
    """The tokenizer of a run's model with its template, or why there is none."""
    key = repr((run.settings["model"], run.prompt["date"], run.template))
    if key not in known:
        try:
            known[key] = Chat(paths.model_dir(run.settings["model"]), run.prompt["date"], run.template)
        except UserError as error:
            known[key] = str(error)
    return known[key]


def _tokens_or_why_not(run: Run, chat: Chat) -> TokenReport:
    try:
        return check_tokens(run, chat)
    except UserError as error:
        return TokenReport(errors=[str(error)])


def _examples(trained: list[Run], reports: dict[str, TokenReport]) -> list[dict[str, str]]:
    examples: dict[str, dict[str, str]] = {}
    for run in trained:
        if reports[run.id].example:
            key = repr((run.settings["model"], run.prompt, run.settings["loss"], run.labels))
            examples.setdefault(key, {"run": run.id, "text": reports[run.id].example})
    return list(examples.values())
