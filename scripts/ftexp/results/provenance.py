"""What a number stands on: data, model, config, seed, code, packages, job and log of a run.

Reads runs/<id>/{run.yaml, finetune.yaml, *.json}, data/splits/<name>/*.json, code.json, template.json. Writes nothing.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from ftexp.design.run import Run, row_sets_of
from ftexp.evaluation.inspect_logs import log_path
from ftexp.ground import paths
from ftexp.ground.filesystem import read_json, sha256_file, sha256_json
from ftexp.ground.yamlfile import load_yaml
from ftexp.results.kept import provenance_of_kept
from ftexp.state.job_record import began_at, read_job
from ftexp.state.work import read_manifest

DIGITS = 12


def provenance_of_run(run: Run) -> dict[str, Any]:
    """Everything that a finished run's numbers stand on, as a mapping that reads well as YAML.

    Args:
        run: Its run.yaml; every stage of it must be done.
    """
    places = paths.RunPaths(run.id)
    whose = {"eval": run.id} if run.is_control else {"train": run.training, "eval": run.id}
    manifests = {stage: _manifest(name, stage) for stage, name in whose.items()}
    said: dict[str, Any] = {
        "data": _data(run), "model": {"name": run.settings["model"], "sha256": manifests["eval"]["inputs"]["model"]},
        **_chat_template(run, manifests["eval"]),
        "seed": run.settings["seed"] if run.kind == "trained" else None,
        "code": {stage: manifest["inputs"]["code"] for stage, manifest in manifests.items()},
        "template": template(), "packages": {stage: manifest["versions"] for stage, manifest in manifests.items()},
        "preflight": {stage: manifest.get("preflight", "green") for stage, manifest in manifests.items()},
        **_untested(manifests),
        "jobs": {stage: _job(name, stage) for stage, name in whose.items()},
        "logs": provenance_of_logs(run),
        "evaluation": {"file": str(places.eval_py), "sha256": sha256_file(places.eval_py), "tasks": run.tasks},
    }
    if run.kind == "trained":
        training = paths.RunPaths(run.training)
        checkpoint = {str(training.checkpoint_dir / name): sha for name, sha in manifests["eval"]["inputs"]["checkpoint"].items()}
        config = load_yaml(training.finetune_yaml, str(training.finetune_yaml))
        said |= {
            "training": run.training, "checkpoint": checkpoint, **provenance_of_kept(run),
            "config": {"file": str(training.finetune_yaml), "sha256": sha256_file(training.finetune_yaml), "resolved": config},
        }
    return said


def _untested(manifests: dict[str, dict[str, Any]]) -> dict[str, list[str]]:
    """What of the model nobody has tested; nothing where it is a model that is tested."""
    said = list(dict.fromkeys(message for manifest in manifests.values() for message in manifest.get("untested", [])))
    return {"untested": said} if said else {}


def provenance_of_logs(run: Run) -> dict[str, str]:
    """A run's logs, each with its hash."""
    outputs = _manifest(run.id, "eval")["outputs"]
    return {path: outputs[path] for path in (str(log_path(run.id, asking)) for asking in run.askings)}


def _manifest(run: str, stage: str) -> dict[str, Any]:
    manifest = read_manifest(run, stage)
    assert manifest is not None, f"{run}: {stage} is done and has no manifest"
    return manifest


def _data(run: Run) -> dict[str, Any]:
    named = {} if run.is_control else {"train": (run.training_set, "train")}
    named |= {task.name: (task.test_set, "test") for task in run.asked if task.data}
    made = {what: read_json(paths.split_json(*where)) for what, where in named.items()}
    return {
        "sources": {file: digest for facts in made.values() for file, digest in facts["inputs"]["sources"].items()},
        "sets": {what: str(paths.split_part(*where)) for what, where in named.items()},
        "rows": {what: facts["rows"] for what, facts in made.items()},
        "sha256": {what: facts["sha256"] for what, facts in made.items()},
        "removed": {what: facts["removed"] for what, facts in made.items() if "removed" in facts},
    }


def _chat_template(run: Run, manifest: dict[str, Any]) -> dict[str, Any]:
    """The file of a chat template of one's own, with its hash; the model's own is one of the model's files."""
    return {"chat_template": {"file": str(run.template), "sha256": manifest["inputs"]["template"]}} if run.template else {}


def _job(run: str, stage: str) -> dict[str, Any] | str:
    """Where and when a stage ran; job records are not in git."""
    job = read_job(run, stage)
    if job is None:
        return "not known here: job records stay on the machine that ran it"
    kept: dict[str, Any] = {name: job[name] for name in ("job_id", "host", "device", "seconds") if name in job}
    return {**kept, "started": began_at(job), "log": str(paths.RunPaths(run).log(stage))}


def template() -> dict[str, str]:
    """Version and commit of the template that the experiment was stamped from."""
    made = read_json(paths.TEMPLATE_JSON) if paths.TEMPLATE_JSON.is_file() else {}
    return {key: made[key] for key in ("version", "commit") if key in made}


def provenance_of_report(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """What all numbers of a report stand on, in lines of name and text; where runs differ, each value with its number of runs.

    No time, no host: these are told by timings.csv and `make cite`.
    """
    found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for run in runs:
        for stage in run.stages:
            manifest = read_manifest(run.id, stage)
            if manifest is None:
                continue
            what = "training" if stage == "train" else "evaluation"
            model = f"{run.settings['model']} ({sha256_json(manifest['inputs']['model'])[:DIGITS]})"
            found["base model, with a hash over its files"][model] += stage == "eval"
            if run.template:
                chat = f"{run.template} ({manifest['inputs']['template'][:DIGITS]})"
                found["chat template, with the hash of its file"][chat] += stage == "eval"
            found[f"code of the {what}"][manifest["inputs"]["code"]] += 1
            found["packages"][", ".join(f"{name} {version}" for name, version in manifest["versions"].items())] += 1
    lines = [("data, with the hash of each file", _sources(runs))] if found else []
    made = template()
    lines += [("template", f"version {made['version']}, commit {made['commit'] or 'not known'}")] if made else []
    return lines + [(name, _counted(values)) for name, values in found.items()]


def _sources(runs: Sequence[Run]) -> str:
    sources: dict[str, str] = {}
    for path in (paths.split_json(name, part) for name, part in row_sets_of(runs)):
        if path.is_file():
            sources |= read_json(path)["inputs"]["sources"]
    return ", ".join(f"{file} ({digest[:DIGITS]})" for file, digest in sources.items())


def _counted(values: dict[str, int]) -> str:
    if len(values) == 1:
        return next(iter(values))
    return "; ".join(f"{value} in {count}" for value, count in values.items() if count)
