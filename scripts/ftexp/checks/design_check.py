"""The design as it stands in the configs: runs differ where a factor says so, and nowhere else."""

from collections.abc import Iterable
from typing import Any

from ftexp.design.combinations import FACTORIAL, baseline_levels, compared_strata, levels_in_words
from ftexp.design.confounds import BATCH
from ftexp.design.factors import Level
from ftexp.design.run import Run
from ftexp.design.settings import SEED, is_quantized
from ftexp.design.spec import Experiment
from ftexp.ground import paths
from ftexp.ground.filesystem import read_json
from ftexp.ground.nested import flat
from ftexp.trainers.choice import name_of_trainer, trainer_of

Config = dict[str, Any]
Factors = dict[str, list[Level]]
Found = list[tuple[str, str]]


def check_differences(runs: list[Run], configs: dict[str, Config], factors: Factors) -> Found:
    """Any two runs differ in their declared factors, and what derives from them, only.

    Runs of one trainer, model, recipe and precision, all with a quantised base or all without, are compared with the first of
    them, because these change the whole config. Two runs that differ from the first only in allowed keys, each with the value
    that `check_read_back` found right, differ from each other only there too.

    Returns:
        Pairs of run id and message, as all checks here.
    """
    firsts: dict[tuple[str, str, str, str, bool], Run] = {}
    messages = []
    for run in runs:
        settings = run.settings
        whole = (name_of_trainer(run), settings["model"], settings["recipe"], settings["dtype"], is_quantized(settings))
        first = firsts.setdefault(whole, run)
        varied = {
            name for factor, levels in factors.items() if first.levels.get(factor) != run.levels.get(factor)
            for level in levels for name in level.sets
        }
        ours, theirs = flat(configs[run.id]), flat(configs[first.id])
        differing = {key for key in {*ours, *theirs} if ours.get(key) != theirs.get(key)}
        for key in sorted(differing - _allowed_differences(first, run, varied)):
            what = f"differs from run {first.id} ({ours.get(key)!r}, there {theirs.get(key)!r}), though no factor declares it"
            messages.append((run.id, f"finetune.yaml: {key}: {what}. Run `make stamp`, or report it"))
    return messages


def check_distinct(runs: list[Run], configs: dict[str, Config]) -> Found:
    """No run is another one under a second name: a factor that reaches neither training nor evaluation changes nothing.

    Rows are what they say, in whatever file.
    """
    firsts: dict[str, Run] = {}
    messages = []
    for run in runs:
        rows = [read_json(paths.split_json(name, part))["sha256"] for name, part in run.row_sets]
        place = str(paths.split_part(run.training_set, "train"))
        config = {key: value for key, value in flat(configs[run.id]).items() if key != "output_dir" and value != place}
        first = firsts.setdefault(repr((config, rows, run.prompt, run.tasks)), run)
        if first is not run:
            names = [name for name, level in run.levels.items() if first.levels.get(name) != level]
            what = f"trains and evaluates exactly what run {first.id} does"
            cure = "Remove the level, or let it set something else"
            messages.append((run.id, f"experiment.yaml: factors.{', '.join(names)}: changes nothing here: it {what}. {cure}"))
    return messages


def check_effective_batch(runs: Iterable[Run], factors: Factors) -> Found:
    """The rows of an optimiser step differ only where they are a factor themselves, not along with something else."""
    own = {name for name, levels in factors.items() if all(set(level.sets) <= BATCH for level in levels)}
    firsts: dict[tuple[Any, ...], Run] = {}
    messages = []
    for run in runs:
        first = firsts.setdefault(tuple(repr(run.levels.get(name)) for name in sorted(own)), run)
        ours, theirs = (r.steps["effective_batch"] for r in (run, first))
        if ours == theirs:
            continue
        names = [n for n, levels in factors.items() if n not in own and any(BATCH & set(level.sets) for level in levels)]
        what = f"a step takes {ours} rows here and {theirs} in run {first.id}, so that two effects cannot be told apart"
        cure = "Choose gradient_accumulation_steps so that batch_size times it is equal, or make the batch a factor of its own"
        messages.append((run.id, f"experiment.yaml: factors.{', '.join(names)}: {what}. {cure}"))
    return messages


def check_design(runs: list[Run]) -> list[str]:
    """Warnings about the design as a whole."""
    seeds = {run.settings[SEED] for run in runs}
    if len(runs) > 1 and len(seeds) == 1:
        what = "there is one seed, so the results cannot tell a factor's effect from that of another seed"
        return [f"experiment.yaml: factors.{SEED}: {what}. Add seed: [1, 2, 3] to the factors, or claim less"]
    return []


def check_comparisons(experiment: Experiment) -> list[str]:
    """Warnings where runs that a report would compare are none: it then says nothing of a factor."""
    factors, baseline, design = experiment.factors, experiment.baseline, experiment.design
    varied = [name for name, levels in factors.items() if len(levels) > 1 and name != SEED]
    compared = compared_strata(factors, baseline, design)
    if design.kind != FACTORIAL:
        base = levels_in_words(baseline_levels(factors, baseline))
        what = f"no run is at it ({base}), so a report will compare no run with another"
        return [] if compared or not varied else [f"experiment.yaml: baseline: {what}. Name the levels of one of the runs"]
    alone = "no two runs differ in it alone, one of them at its baseline"
    return [
        f"experiment.yaml: factors.{name}: {alone}, so a report will say nothing of it. Change exclude, or the baseline"
        for name in varied if name not in compared
    ]


def _allowed_differences(first: Run, run: Run, varied: set[str]) -> set[str]:
    """Keys that may differ: those of the settings that the two runs' levels set, and those that follow."""
    allowed = {"output_dir", "checkpointer.output_dir", "metric_logger.output_dir", "profiler.output_dir"}
    for name in varied | _derived_from(varied):
        for one in (run, first):
            allowed |= set(trainer_of(one).expected_keys(one, name, None))
    return allowed


def _derived_from(varied: set[str]) -> set[str]:
    """Settings that follow from others where nobody sets them."""
    derived = set()
    if "lora_rank" in varied:
        derived.add("lora_alpha")
    if varied & {"epochs", "train_size", *BATCH} or any(name.startswith("data.") for name in varied):
        derived |= {"warmup_steps", "steps"}
    if "data.text" in varied:  # beside a run of questions a document lacks all that makes a prompt and an answer
        derived |= {"loss", "prompt.system", "prompt.user", "data.input", "data.output"}
    return derived
