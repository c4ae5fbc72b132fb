"""Measures what being validated costs a training: CPU seconds of the looks by the loss, with the default share, of all.

Reads the template. Writes into the folder it is given (KEEP=<folder> keeps it); prints a row per training.
Command: .venv/bin/python benchmarks/validation.py
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

from experiments import BIN, TEMPLATE, call, experiments_folder

FACTORS = "{lora_rank: [2, 16], lr: [3e-3]}"
RUN = "r16_lr3e-3"
# In words, and of the section `validation` what differs from the default.
CASES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("every epoch", {}), ("every half epoch", {"every": 0.5}), ("every epoch, by exact", {"metric": "exact"}),
)


def main(root: Path) -> None:
    """A row per case: looks, CPU seconds of the training without its start, those of the looks, their share."""
    print("| looked at | rows that train | rows that validate | steps | looks | CPU s | of it in looks | share |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for number, (name, section) in enumerate(CASES):
        print(f"| {name} | {' | '.join(measure(make_experiment(root, number, section)))} |", flush=True)


def make_experiment(root: Path, number: int, section: dict[str, Any]) -> Path:
    """The demo, validated."""
    command = [str(BIN / "cookiecutter"), str(TEMPLATE), "--no-input", "--default-config", "-o", str(root)]
    call(root, [*command, f"experiment_name=validated-{number}", f"factors={FACTORS}"])
    folder = root / f"validated-{number}"
    with (folder / "experiment.yaml").open("a", encoding="utf-8") as file:
        file.write(f"\nvalidation: {section}\n")
    (folder / "models").symlink_to("data/models")
    (folder / ".venv").symlink_to(BIN.parent)
    call(folder, ["make", "stamp", "split"])
    return folder


def measure(folder: Path) -> list[str]:
    """Train the run in a process of its own, on one thread, and read what it prints."""
    command = [str(BIN / "python"), __file__, str(folder)]
    process = os.popen(" ".join(command))
    said = process.read()
    if process.close():
        sys.exit(f"{' '.join(command)} failed")
    return said.split()


def train_and_count(folder: Path) -> None:
    """Print rows, rows that validate, steps, looks, and CPU seconds."""
    os.chdir(folder)
    os.environ.update(HF_HUB_OFFLINE="1")
    sys.path.insert(0, "scripts")
    import torch
    from ftexp.ground.yamlfile import load_yaml
    from ftexp.trainers.transformers import train as trainer
    from ftexp.trainers.transformers.training import RowTrainer
    from ftexp.trainers.transformers.validation import Validation

    torch.set_num_threads(1)
    spent = {"looks": 0.0, "training": 0.0}
    counted = [0]

    def timed(owner: type, name: str, what: str) -> None:
        inner = getattr(owner, name)

        def outer(*args: Any, **more: Any) -> Any:
            before = time.process_time()
            result = inner(*args, **more)
            spent[what] += time.process_time() - before
            return result

        setattr(owner, name, outer)

    looked = Validation._values

    def counting(self: Validation) -> dict[str, float]:
        counted[0] += 1
        return looked(self)

    Validation._values = counting  # type: ignore[method-assign]
    timed(Validation, "on_step_end", "looks")
    timed(RowTrainer, "train", "training")
    path = Path(f"runs/{RUN}/finetune.yaml")
    config = {**load_yaml(path, str(path)), "device": "cpu"}
    done = trainer.train(config)
    rows = len(Path(config["validation"]["file"]).read_text(encoding="utf-8").splitlines())
    share = spent["looks"] / spent["training"]
    print(config["dataset"]["rows"], rows, done.state.global_step, counted[0], f"{spent['training']:.2f}",
          f"{spent['looks']:.3f}", f"{100 * share:.2f}%")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        train_and_count(Path(sys.argv[1]))
    else:
        with experiments_folder() as temporary:
            main(temporary)
