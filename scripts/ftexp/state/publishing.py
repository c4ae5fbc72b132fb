"""From a finished training or evaluation to a run's files: moved into place, then vouched for by a manifest."""

import os
import shutil
from pathlib import Path
from typing import Any

from ftexp.design.planning import read_run
from ftexp.design.run import Run
from ftexp.ground import paths
from ftexp.ground.filesystem import follow_umask, read_json, sha256_file, sha256_json, write_json
from ftexp.models.config_json import read_model_config
from ftexp.models.reading import ALLOW_UNTESTED
from ftexp.state.imported_code import package_versions

_NOT_PUBLISHED = (".pt", ".bin")


def publish_checkpoint(run: Run, epoch_dir: Path) -> None:
    """Move an epoch's adapter (or, after a full fine-tune, the whole model) and train.csv to the run's folder.

    Args:
        epoch_dir: What the training left of the epoch, in Hugging Face layout.
    """
    places = paths.RunPaths(run.id)
    scratch = places.scratch_dir("train")
    is_adapter = (epoch_dir / "adapter_config.json").is_file()
    aside = scratch / "published"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    names = ["adapter_model.safetensors", "adapter_config.json"] if is_adapter else _model_names(epoch_dir)
    for name in names:
        shutil.copy2(epoch_dir / name, aside / name)
    if is_adapter:
        _name_base_model(aside / "adapter_config.json", run.settings["model"])
    places.manifest("train").unlink(missing_ok=True)
    places.validation_csv.unlink(missing_ok=True)
    replace_dir(aside, places.checkpoint_dir)
    for path in (places.train_csv, *([places.validation_csv] if run.validation else [])):
        os.replace(_copy_aside(scratch / path.name), path)


def _model_names(epoch_dir: Path) -> list[str]:
    return sorted(p.name for p in epoch_dir.iterdir() if p.is_file() and p.suffix not in _NOT_PUBLISHED)


def _copy_aside(path: Path) -> Path:
    """A copy beside the original, so that renaming it leaves the original for a second try."""
    copy = path.with_suffix(".published")
    shutil.copyfile(path, copy)
    return copy


def _name_base_model(path: Path, model: str) -> None:
    """Say in the adapter's config which base it belongs to; torchtune leaves it empty."""
    config = read_json(path)
    write_json(path, {**config, "base_model_name_or_path": model})


def replace_dir(source: Path, target: Path) -> None:
    """Rename a folder into place of another, which goes first; who may read it is for the umask to say."""
    follow_umask(source)
    if target.is_dir():
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(source, target)


def write_manifest(
    run: str, stage: str, inputs: dict[str, Any], preflight: str = "", packages: dict[str, str] | None = None, device: str = ""
) -> None:
    """Say that a stage is done: from which inputs, with which outputs, by which packages, on what. Nothing of time or host.

    Args:
        preflight: What spoke against the run when the stage began; empty where its preflight was current and green.
        packages: Versions of those that it computed with; None: those that are installed now.
        device: What it computed on, by its own word; empty where nobody asked it.
    """
    places = paths.RunPaths(run)
    folder = places.checkpoint_dir if stage == "train" else places.eval_dir
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    files += [path for path in (places.train_csv, places.validation_csv) if stage == "train" and path.is_file()]
    write_json(places.manifest(stage), {
        "run": run, "stage": stage, "input_hash": sha256_json(inputs), "inputs": inputs,
        "outputs": {str(path): sha256_file(path) for path in files},
        "versions": packages or package_versions(),
        **({"device": device} if device else {}),
        **({"preflight": preflight} if preflight else {}),
        **_untested(run),
    })


def _untested(run: str) -> dict[str, list[str]]:
    """What of a run's model nobody has tested, where that was allowed."""
    settings = read_run(run).settings
    if not settings.get(ALLOW_UNTESTED):
        return {}
    untested = read_model_config(paths.model_dir(settings["model"])).untested
    return {"untested": list(untested)} if untested else {}
