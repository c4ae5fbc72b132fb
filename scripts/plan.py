"""Shows the design in words and as a table, and writes the plan, before anything is spent.

Reads experiment.yaml and the data. Writes runs.csv, runs/<id>/run.yaml and the README's design.
Command: make plan (python scripts/plan.py)
"""

import csv
import io
import os

from ftexp.checks.cautions import cautions
from ftexp.checks.verdicts import grouped
from ftexp.design.asking_words import asked_in_words
from ftexp.design.confounds import derived_along
from ftexp.design.heads import labels_in_words
from ftexp.design.in_words import design_in_words
from ftexp.design.planning import folders_not_in_design, plan_files, plan_with_answers, runs_table, some_of
from ftexp.design.run import Run
from ftexp.design.spec import Experiment, read_experiment
from ftexp.ground import paths
from ftexp.ground.errors import run_command, sentence
from ftexp.ground.text_table import text_table
from ftexp.life.readme import renew_readme
from ftexp.life.renaming import renaming_hints
from ftexp.state.generated import write_generated
from ftexp.state.run_lock import only_one_make
from ftexp.trainers.choice import note_refusals, trainers_in_words
from ftexp.trainers.sizes import checkpoint_megabytes


def main(arguments: list[str]) -> int:
    """Plan, write, show; 1 where a run has a problem of its own."""
    paths.require_experiment()
    experiment = read_experiment(paths.EXPERIMENT_YAML)
    runs, answers = plan_with_answers(experiment)
    note_refusals(runs)
    with only_one_make("stamp"):
        write_generated(plan_files(experiment, runs))
        renew_readme(experiment, runs)
    print(describe(experiment, runs))
    for caution in cautions(experiment, runs, answers):
        print(f"warning: {sentence(caution)}")
    return 1 if any(run.problems for run in runs) else 0


def describe(experiment: Experiment, runs: list[Run]) -> str:
    """The plan as text: question, design, the table of runs, disk, and what is wrong with single runs."""
    lines = [
        f"{experiment.name}: {experiment.question}",
        "",
        design_in_words(experiment, runs),
        *asked_in_words(experiment.evaluation, runs),
        "",
        _runs_as_table(experiment, runs),
        *derived_along(runs, experiment.factors),
        "",
        *labels_in_words(runs),
        *trainers_in_words([run for run in runs if run.trains], experiment.factors),
        _describe_disk([run for run in runs if run.trains and not run.problems]),
    ]
    lines += [
        f"outside of the experiment: {path}: neither git nor DVC keeps it, and a clone needs it there. Better copy it to data/raw"
        for path in sorted({str(path) for run in runs for path in run.data_files})
        if os.path.isabs(path) or os.path.normpath(path).startswith("..")
    ]
    extra = folders_not_in_design([run.id for run in runs])
    if extra:
        lines += [f"not in the design (kept, not reported): {some_of(extra)}", *renaming_hints(experiment, runs, extra)]
    lines += [f"problem: {line}" for line in grouped({run.id: run.problems for run in runs}, "runs.csv")]
    return "\n".join(lines)


def _runs_as_table(experiment: Experiment, runs: list[Run]) -> str:
    rows = list(csv.reader(io.StringIO(runs_table(experiment, runs))))
    keep = [i for i, name in enumerate(rows[0]) if name != "problem"]
    shown = [[row[i] for i in keep] for row in rows]
    return text_table(shown[0], shown[1:])


def _describe_disk(trained: list[Run]) -> str:
    if not trained:
        return "disk: not known: no run can be trained"
    sizes = [checkpoint_megabytes(run.settings) for run in trained]
    if not paths.MODELS_LINK.exists():
        return "disk: not known before `make setup` has linked models/"
    if any(size is None for size in sizes):
        absent = dict.fromkeys(run.settings["model"] for run, size in zip(trained, sizes, strict=True) if size is None)
        return f"disk: not known: models/ has no usable {', '.join(absent)}; put the model's folder there, or correct its name"
    return f"disk: about {sum(size for size in sizes if size):.1f} MB of checkpoints, and up to three times that while training"


if __name__ == "__main__":
    run_command(main)
