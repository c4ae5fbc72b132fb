"""What a run with a head chooses from, by its run.yaml: for those that load it by hand, and no part of evaluating it."""

from ftexp.design.run import Run
from ftexp.ground.paths import model_dir
from ftexp.models.chat import Chat
from ftexp.models.loading import Classifier


def classifier_of(run: Run) -> Classifier | None:
    """What a run with a head chooses from; None where it writes text."""
    if not run.labels:
        return None
    return Classifier(tuple(run.labels), Chat(model_dir(run.settings["model"]), run.prompt["date"], run.template).pad_id)
