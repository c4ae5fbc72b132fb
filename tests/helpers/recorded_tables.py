"""What the experiment in the working folder recorded, and how its effects are read, as its report does it."""

from ftexp.design.planning import planned_runs
from ftexp.design.spec import read_experiment
from ftexp.effects import Analysis
from ftexp.ground import paths
from ftexp.reporting.scores import analysis_of
from ftexp.results.judge_runs import Judge
from ftexp.results.measures import measures_of
from ftexp.results.recorded import Recorded, recorded_answers
from ftexp.results.table import collect_states, tasks_done
from ftexp.state.work import Work


def recorded_here() -> Recorded:
    """The answers that a report judged."""
    work, evaluation = Work(), read_experiment(paths.EXPERIMENT_YAML).evaluation
    judge = Judge(evaluation, work.code["scoring"], work.hashes)
    return recorded_answers(tasks_done(collect_states(work, planned_runs())), judge, evaluation)


def analysis_here() -> Analysis:
    experiment = read_experiment(paths.EXPERIMENT_YAML)
    return analysis_of(experiment, measures_of(recorded_here(), experiment.evaluation))
