"""What makes a stage of a run stale, and in which status it is: the one place that says so."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from ftexp.design.planning import read_run
from ftexp.design.run import Run
from ftexp.ground import paths
from ftexp.ground.filesystem import read_mapping, sha256_json
from ftexp.ground.memories import FileHashes
from ftexp.state.code_version import code_versions, part_of
from ftexp.state.inputs import Inputs, agree, changes, covers
from ftexp.state.job_record import read_job
from ftexp.state.row_sets import Missing, there
from ftexp.state.run_lock import is_running
from ftexp.state.status_words import State

# What DVC holds need not be computed again.
_BACK = "; `.venv/bin/dvc checkout --allow-missing` brings back what DVC has"


class Queue(Protocol):
    """What knows of the jobs that were given to a cluster.

    Attributes:
        silence: Why it does not answer; empty where it does.
    """

    silence: str

    @property
    def active_count(self) -> int:
        """Jobs of this user's that wait or work."""

    def active(self, run: str, stage: str) -> State | None:
        """`submitted` or `running`; None where no job is under way for the stage."""

    def outcome(self, run: str, stage: str, submitted_for: str) -> State | None:
        """What became of the job that was submitted for these inputs; None where nothing is known."""


class Work:
    """The state of an experiment's runs, from the files that are there now. One object per command."""

    def __init__(self, queue: Queue | None = None, *, is_forced: bool = False) -> None:
        """`queue` knows the jobs that were given to Slurm; without it only files are asked. `is_forced`: no preflight asked."""
        self.queue = queue
        self.is_forced = is_forced
        self.hashes = FileHashes(paths.HASHES_JSON)
        self.inputs_of = Inputs(self.hashes)
        self._owners: dict[str, Run] = {}
        self._states: dict[tuple[str, str], State] = {}

    @cached_property
    def code(self) -> dict[str, str]:
        """Versions of the code, per part."""
        return code_versions(self.hashes)

    @cached_property
    def _preflights(self) -> dict[str, Any]:
        """What preflight.json says of each run, as it was when first asked."""
        return dict(read_preflight()["runs"])

    def training_of(self, run: Run) -> Run:
        """The run that trains what a trained run is evaluated on; as a rule itself."""
        if run.trains:
            return run
        if run.training not in self._owners:
            self._owners[run.training] = read_run(run.training)
        return self._owners[run.training]

    def state(self, run: Run, stage: str) -> State:
        """Status of `stage` of the run whose run.yaml is `run`, as it was when first asked; its training may be another run's."""
        run = self.training_of(run) if stage == "train" else run
        key = (run.id, stage)
        if key not in self._states:
            self._states[key] = self._state(run, stage)
        return self._states[key]

    def _state(self, run: Run, stage: str) -> State:
        if run.problems:
            return State("failed", "; ".join(run.problems))
        under_way = self._under_way(run.id, stage)
        try:
            inputs = self.inputs(run, stage)
        except Missing as missing:
            return under_way or State("waiting", str(missing))
        manifest = read_manifest(run.id, stage)
        is_whole = manifest is not None and self._has_outputs(manifest)
        if manifest is not None and is_whole and covers(manifest["inputs"], inputs):
            return State("done")
        if under_way:
            return under_way
        unfinished = self._unfinished(run, stage, inputs)
        if manifest is None or not is_whole or unfinished.status == "failed":
            return unfinished
        return State("stale", f"changed: {', '.join(changes(manifest['inputs'], inputs))}")

    def _under_way(self, run: str, stage: str) -> State | None:
        """`submitted` or `running`, by Slurm's word or by the lock of a job."""
        queued = self.queue.active(run, stage) if self.queue else None
        return queued or (State("running") if is_running(run, stage) else None)

    def is_done(self, run: str, stage: str, inputs: dict[str, Any]) -> bool:
        """Whether a whole manifest vouches for these inputs, and its outputs are there, unchanged."""
        manifest = read_manifest(run, stage)
        return manifest is not None and covers(manifest["inputs"], inputs) and self._has_outputs(manifest)

    def _unfinished(self, run: Run, stage: str, inputs: dict[str, Any]) -> State:
        outcome = self.queue.outcome(run.id, stage, self.submission_hash(run, stage)) if self.queue else None
        if outcome:
            return outcome
        job = read_job(run.id, stage)
        if job is None or job.get("input_hash") != sha256_json(inputs):
            return State("ready")
        if job["state"] == "failed":
            return State("failed", job["reason"])
        if job["state"] in ("running", "stopped"):
            return State("ready", job.get("reason") or "was interrupted")
        return State("ready", f"its files are gone or changed{_BACK}")

    def _has_outputs(self, manifest: dict[str, Any]) -> bool:
        return all(self._is_as_published(name, manifest["outputs"]) for name in manifest["outputs"])

    def _is_as_published(self, name: str, outputs: Mapping[str, str]) -> bool:
        return name in outputs and Path(name).is_file() and self.hashes.of(Path(name)) == outputs[name]

    def inputs(self, run: Run, stage: str) -> dict[str, Any]:
        """Everything that can change what a stage gives, as hashes.

        Raises:
            Missing: If an input is not there yet.
        """
        return self._train_inputs(run) if stage == "train" else self._eval_inputs(run)

    def _train_inputs(self, run: Run) -> dict[str, Any]:
        inputs = self.inputs_of.of_training(run, self.code[part_of(run, "train")])
        return {**inputs, "judge": self.code["judge"]} if "scorer" in run.validation else inputs

    def _eval_inputs(self, run: Run) -> dict[str, Any]:
        return {**self.inputs_of.of_evaluation(run, self.code["evaluation"]), "checkpoint": self._checkpoint(run)}

    def current_askings(self, run: Run) -> set[str]:
        """The askings whose answers are there as they are wanted now; none where an input of all of them changed.

        Raises:
            Missing: If an input is not there yet.
        """
        wanted = self._eval_inputs(run)
        published = self.published_askings(run, wanted)
        return {name for name, asking in wanted["tasks"].items() if published.get(name) == asking}

    def published_askings(self, run: Run, inputs: dict[str, Any]) -> dict[str, dict[str, str]]:
        """The askings of the run's manifest whose logs are there, each with its inputs; none where an input of all changed.

        Args:
            inputs: Those of its evaluation now.
        """
        manifest = read_manifest(run.id, "eval")
        if manifest is None or not agree(manifest["inputs"], inputs):
            return {}
        given: dict[str, dict[str, str]] = manifest["inputs"]["tasks"]
        logs = {name: str(paths.RunPaths(run.id).eval_log(name)) for name in given}
        return {name: asking for name, asking in given.items() if self._is_as_published(logs[name], manifest["outputs"])}

    def submission_hash(self, run: Run, stage: str) -> str:
        """What a job is submitted for: the inputs, the training's in place of the checkpoint that it will give.

        Raises:
            Missing: If an input is not there yet.
        """
        if stage == "train":
            return sha256_json(self._train_inputs(run))
        training = None if run.is_control else self._train_inputs(self.training_of(run))
        return sha256_json({**self.inputs_of.of_evaluation(run, self.code["evaluation"]), "training": training})

    def _checkpoint(self, run: Run) -> dict[str, str] | None:
        if run.is_control:
            return self.inputs_of.existing_checkpoint(run.checkpoint) if run.checkpoint else None
        training = self.state(run, "train")
        if training.status != "done":
            whose = "its training" if run.trains else f"its training, that of {run.training},"
            raise Missing(f"{whose} is {training.status}" + (f" ({training.reason})" if training.reason else ""))
        folder = paths.RunPaths(run.training).checkpoint_dir
        outputs = {Path(name): digest for name, digest in outputs_of(run.training, "train").items()}
        return {path.name: digest for path, digest in outputs.items() if path.is_relative_to(folder)}

    def preflight_hash(self, run: Run) -> str:
        """What a run's preflight was made for; another value means it has to be made again.

        Raises:
            Missing: If an input is not there yet.
        """
        facts: dict[str, Any] = {key: value for key, value in self.code.items() if key != "scoring"}
        facts |= {task.test_set: self.hashes.of(self.inputs_of.sets.asked(run, task)) for task in run.asked if task.data}
        facts["eval.py"] = self.hashes.of(there(paths.RunPaths(run.id).eval_py, "make stamp"))
        facts["base"] = self.inputs_of.model_files(run.settings["model"])
        facts |= self.inputs_of.of_template(run)
        if not run.is_control:
            facts["train"] = self._train_inputs(self.training_of(run))
        return sha256_json(facts)

    def preflight(self, run: Run) -> State:
        """Whether a run may be submitted: `done` where its preflight is current and without errors."""
        try:
            current = self.preflight_hash(run)
        except Missing as missing:
            return State("waiting", str(missing))
        entry = self._preflights.get(run.id)
        if entry is None:
            return State("waiting", "not validated yet: `make validate`")
        if entry["hash"] != current:
            return State("stale", "changed since it was validated: `make validate`")
        if entry["errors"]:
            return State("failed", entry["errors"][0])
        return State("done")

    def refusal(self, run: Run) -> str:
        """Why a run may not be submitted; empty where it may."""
        preflight = self.preflight(run)
        return "" if preflight.status == "done" or self.is_forced else preflight.reason


def read_manifest(run: str, stage: str) -> dict[str, Any] | None:
    """The manifest of a finished stage; None where there is none, or it is not whole."""
    return read_mapping(paths.RunPaths(run).manifest(stage), ("inputs", "outputs", "input_hash"))


def outputs_of(run: str, stage: str) -> dict[str, str]:
    """The files that a finished stage's manifest vouches for, with their hashes; empty where there is none."""
    return dict((read_manifest(run, stage) or {"outputs": {}})["outputs"])


def read_preflight() -> dict[str, Any]:
    """preflight.json; without runs where there is none, or it is not whole."""
    return read_mapping(paths.PREFLIGHT_JSON, ("runs",)) or {"runs": {}}
