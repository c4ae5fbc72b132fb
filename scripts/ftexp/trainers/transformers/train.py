"""Train by one finetune.yaml: `python -m ftexp.trainers.transformers.train runs/<id>/finetune.yaml [key=value ...]`.

The keys that may be given are those of the machine: output_dir, device and resume_from_checkpoint. Several processes, each
of which takes its share of every batch: torchrun --nproc_per_node N -m, and the same words.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from accelerate.state import AcceleratorState
from peft import PeftModel
from transformers import TrainingArguments, get_scheduler

from ftexp.ground.components import component_at
from ftexp.ground.cores import take_own_threads
from ftexp.ground.own_code import import_own_code
from ftexp.ground.torch_device import usable_device
from ftexp.ground.yamlfile import load_yaml, parse_yaml
from ftexp.trainers.child_process import die_with_launcher
from ftexp.trainers.device_file import write_device
from ftexp.trainers.prompted_rows import chat_of
from ftexp.trainers.shares import share_of_batch
from ftexp.trainers.train_csv import Rows, TrainCsv
from ftexp.trainers.transformers.effect import require_effect
from ftexp.trainers.transformers.model import DTYPES, build_model
from ftexp.trainers.transformers.resume import epoch_dirs, finished_epochs
from ftexp.trainers.transformers.training import RowTrainer
from ftexp.trainers.transformers.validation import Validation, rows_of

Config = dict[str, Any]
# Our names of schedules are the library's, but for the plain one.
_SCHEDULES = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}
# Variables by which accelerate's own launcher speaks; one would change precision or device, and no record would say so.
_OF_LAUNCHER = "ACCELERATE_"


def main(words: Sequence[str]) -> None:
    """Train.

    Args:
        words: The config's path, and `key=value` words.

    Raises:
        TrainingFailed: If a step's loss is none to learn from, or the adapter does nothing in the end.
    """
    die_with_launcher()
    import_own_code()
    take_own_threads()
    transformers.logging.set_verbosity_error()
    path, *changes = words
    config: Config = load_yaml(Path(path), path)
    config |= {key: parse_yaml(value, key) for key, _, value in (change.partition("=") for change in changes)}
    train(config)


def train(config: Config) -> RowTrainer:
    """Train by a config, from the last finished epoch where it says so."""
    output_dir = Path(config["output_dir"])
    output_dir.mkdir(parents=True, exist_ok=True)
    arguments = training_arguments(config)
    finished = finished_epochs(output_dir) if config["resume_from_checkpoint"] else 0
    chat = chat_of(config["tokenizer"])
    rows = rows_of(chat, config, config["dataset"], is_strict=True)
    transformers.set_seed(config["seed"])
    model = build_model(config, DTYPES[config["dtype"]])
    if config["enable_activation_checkpointing"] and isinstance(model, PeftModel):
        model.enable_input_require_grads()  # else nothing flows back to the first checkpoint
    file = None
    effective = config["batch_size"] * config["gradient_accumulation_steps"]
    if arguments.process_index == 0:
        of_rows = Rows(config["dataset"]["file"], len(rows), config["dataset"]["seed"], effective)
        file = TrainCsv(output_dir, len(rows) // effective, finished, of_rows, config)
        device = torch.cuda.get_device_name(arguments.device) if arguments.device.type == "cuda" else arguments.device.type
        write_device(output_dir, device, arguments.world_size, is_resumed=bool(finished))
    trainer = RowTrainer(model, rows, _optimizer_and_schedule(config, model, len(rows)), arguments, file)
    if "validation" in config:
        trainer.look_by(Validation(trainer, config, chat, finished * (len(rows) // effective)))
    resumed = str(epoch_dirs(output_dir)[finished]) if finished else None
    if trainer.validation and trainer.validation.is_over:
        trainer.take_up(resumed)
    else:
        trainer.train(resume_from_checkpoint=resumed)
    if trainer.validation and arguments.should_save:
        trainer.validation.conclude()
    if file:
        with trainer.compute_loss_context_manager():
            require_effect(trainer.model, [rows[index]["tokens"] for index in range(min(len(rows), 4))], file)
        file.close()
    return trainer


def training_arguments(config: Mapping[str, Any]) -> TrainingArguments:
    """The library's, nothing of which is left to an environment variable or a default that a release may change.

    Raises:
        UserError: If torch cannot use the device that the config names, or a GPU that was given where it names none, or
            the processes cannot share out a batch.
    """
    for name in [name for name in os.environ if name.startswith(_OF_LAUNCHER)]:
        del os.environ[name]
    AcceleratorState._reset_state()  # that of another training in this process
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    is_on_cpu = usable_device(config["device"] or "auto") == "cpu"
    arguments = TrainingArguments(
        output_dir=config["output_dir"], num_train_epochs=config["epochs"],
        per_device_train_batch_size=share_of_batch(config, processes),
        gradient_accumulation_steps=config["gradient_accumulation_steps"], learning_rate=config["optimizer"]["lr"],
        max_grad_norm=config["clip_grad_norm"] or 0.0, seed=config["seed"], bf16=config["dtype"] == "bf16", tf32=False,
        use_cpu=is_on_cpu, gradient_checkpointing=config["enable_activation_checkpointing"],
        gradient_checkpointing_kwargs={"use_reentrant": False}, torch_compile=config["compile"],
        ddp_find_unused_parameters=False, average_tokens_across_devices=True, dataloader_drop_last=True,
        dataloader_num_workers=0, remove_unused_columns=False, disable_tqdm=True, report_to=[], logging_strategy="no",
        save_strategy="no", eval_strategy="no", logging_nan_inf_filter=False,
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)  # several GPUs are for several processes, and not for one with DataParallel
    return arguments


def _optimizer_and_schedule(config: Mapping[str, Any], model: torch.nn.Module, rows: int) -> tuple[Any, Any]:
    section = dict(config["optimizer"])
    component = component_at(section.pop("_component_"))
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = component(trained, **section)
    steps = rows // (config["batch_size"] * config["gradient_accumulation_steps"]) * config["epochs"]
    schedule = config["lr_scheduler"]
    return optimizer, get_scheduler(_SCHEDULES[schedule["schedule"]], optimizer, schedule["num_warmup_steps"], steps)


if __name__ == "__main__":
    main(sys.argv[1:])
