"""What a careful reviewer would say of the comparison, in the same sentences by plan and validate, before anything is spent.

Of a design: its confounds. Of a rank: what it is beside its model. Of validation: what can never act. Of the answers: whether
scorer and metrics fit them, and whether a head can give them. Reads config.json of the base models. Writes nothing.
"""

from collections.abc import Iterable, Sequence

from ftexp.design.confounds import confounds
from ftexp.design.fit_of_scores import AnswersOfTasks, free_texts, rare_classes
from ftexp.design.heads import untrained_answers
from ftexp.design.run import Run
from ftexp.design.select_section import tokens_differ, without_choice
from ftexp.design.spec import Experiment
from ftexp.design.tasks import key_of
from ftexp.design.unused import of_controls_alone
from ftexp.design.validation_section import never_act
from ftexp.trainers.sizes import adapter_size


def cautions(experiment: Experiment, runs: Sequence[Run], answers: AnswersOfTasks) -> list[str]:
    """All of it, each once.

    Args:
        experiment: The design.
        runs: Its runs.
        answers: Per run and task the reference answers, as far as they are known.
    """
    compared = {name: levels for name, levels in experiment.factors.items() if name not in experiment.select}
    said = [*confounds(runs, compared), *_ranks(runs), *never_act(runs)]
    said += [*without_choice(experiment.select, experiment.factors), *tokens_differ(experiment.select, runs)]
    said += [*of_controls_alone(experiment, runs), *untrained_answers(runs, answers)]
    for (_, task), test in answers.items():
        judging, tasks = experiment.evaluation.judging[task], experiment.evaluation.tasks
        said += free_texts(test, judging.scorers, key_of(tasks, task, "scorers"))
        said += rare_classes(test, judging.over_labels, key_of(tasks, task, "metrics"))
    return list(dict.fromkeys(said))


def _ranks(runs: Iterable[Run]) -> list[str]:
    """Ranks above the smaller side of a matrix, and adapters that are larger than their base."""
    said: dict[str, None] = {}
    for run in runs:
        adapter = adapter_size(run.settings) if run.kind == "trained" else None
        if adapter is None:
            continue
        rank, model = run.settings["lora_rank"], run.settings["model"]
        where = f"experiment.yaml: lora_rank: {rank}"
        if rank > adapter.narrowest:
            what = f"is above {adapter.narrowest}, the smaller side of {adapter.module} in {model}"
            said[f"{where} {what}: no change of that matrix needs a higher rank than {adapter.narrowest}. Lower it"] = None
        if adapter.parameters > adapter.base_parameters:
            what = f"trains {adapter.parameters:,} parameters, more than the {adapter.base_parameters:,} of {model}"
            said[f"{where} {what}. Lower it, or train the whole model (recipe: full_finetune_single_device)"] = None
    return list(said)
