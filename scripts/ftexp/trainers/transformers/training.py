"""transformers.Trainer with our rows, their order, our optimizer and schedule, train.csv and checkpoints."""

import shutil
from pathlib import Path
from typing import Any

import torch
import transformers
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch.utils.data import Sampler

from ftexp.ground.filesystem import follow_umask
from ftexp.models.config_json import read_model_config
from ftexp.models.folder import small_files
from ftexp.trainers.labelled_rows import LabelledRows
from ftexp.trainers.numbered_dirs import remove_before
from ftexp.trainers.prompted_rows import PromptedRows
from ftexp.trainers.train_csv import TrainCsv
from ftexp.trainers.transformers.adapter import save_adapter
from ftexp.trainers.transformers.batches import Batches, EpochOrder, mean_loss
from ftexp.trainers.transformers.progress import StepLog
from ftexp.trainers.transformers.resume import PRODUCT, TRAINED, UNFINISHED, aside, put_in_place
from ftexp.trainers.transformers.validation import Validation


class RowTrainer(transformers.Trainer):
    """The library's loop; what it leaves to a subclass or a callback is done here as every trainer here does it."""

    def __init__(
        self, model: Any, rows: PromptedRows | LabelledRows, optimizers: tuple[Any, Any],
        arguments: transformers.TrainingArguments, file: TrainCsv | None,
    ) -> None:
        """Set it up.

        Args:
            optimizers: Optimizer and schedule.
            file: train.csv, in the one process that writes it.
        """
        self.order = EpochOrder(len(rows))
        super().__init__(
            model=model, args=arguments, train_dataset=rows, data_collator=Batches(rows.pad_id), optimizers=optimizers,
            compute_loss_func=mean_loss, callbacks=[_Epochs(self)],
        )
        self.remove_callback(transformers.PrinterCallback)
        self.log_of_steps = StepLog(self, file)
        self.add_callback(self.log_of_steps)
        self.validation: Validation | None = None

    def look_by(self, validation: Validation) -> None:
        """Be looked at while training."""
        self.validation = validation
        self.add_callback(validation)

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        return self.order

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """One forward and backward pass; its share of the step's loss is noted."""
        loss = super().training_step(model, inputs, num_items_in_batch)
        self.log_of_steps.add(loss, num_items_in_batch)
        return loss

    def save_epoch(self, epoch: int) -> None:
        """Write what an epoch, from 1, leaves: where there is an adapter all that training goes on from, at the end the product.

        Whole weights take their place only once; a full fine-tune that is interrupted begins anew.
        """
        is_end = self.state.global_step >= self.state.max_steps
        is_adapter = isinstance(self.model, PeftModel)
        if is_adapter or (is_end and self.validation is None):
            self._keep(f"epoch_{epoch}", has_product=is_end and self.validation is None, has_state=is_adapter)
        if self.args.should_save:
            remove_before(Path(str(self.args.output_dir)), "epoch", epoch)
            if self.validation and is_adapter:
                self.validation.forget_others()

    def save_step(self, step: int) -> None:
        """Write the product of a step that is to be kept; of whole weights, which nothing is resumed from, it is the only one."""
        self._keep(f"step_{step}", has_product=True, has_state=False)
        if self.validation and self.args.should_save and not isinstance(self.model, PeftModel):
            self.validation.forget_others()

    def _keep(self, name: str, *, has_product: bool, has_state: bool) -> None:
        output_dir = Path(str(self.args.output_dir))
        folder = aside(output_dir) if self.args.should_save else output_dir / UNFINISHED
        self.accelerator.wait_for_everyone()
        if self.args.should_save and has_product:
            self._write_product(folder / PRODUCT)
        if has_state:
            self._write_state(folder)
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            follow_umask(folder)
            put_in_place(folder, name)
        self.accelerator.wait_for_everyone()

    def _write_product(self, folder: Path) -> None:
        model: Any = self.model
        if isinstance(model, PeftModel):
            save_adapter(model, read_model_config(Path(str(model.config.name_or_path))), folder)
            return
        model.config.use_cache = True
        model.save_pretrained(folder)
        model.config.use_cache = False
        is_text = isinstance(self.train_dataset, PromptedRows)  # whose config.json is the base's, as its own file says it
        for path in small_files(Path(str(model.config.name_or_path))):
            if not path.name.endswith(".index.json") and (is_text or path.name != "config.json"):
                shutil.copyfile(path, folder / path.name)

    def _write_state(self, folder: Path) -> None:
        model: Any = self.model
        if self.args.should_save:
            trained = {name: value.detach().cpu().contiguous() for name, value in model.named_parameters() if value.requires_grad}
            save_file(trained, folder / TRAINED)
            self.state.save_to_json(str(folder / "trainer_state.json"))
        self._save_optimizer_and_scheduler(str(folder))
        self._save_rng_state(str(folder))

    def take_up(self, folder: str | None) -> None:
        """Have the trained numbers of an epoch after which there is nothing left to do."""
        assert folder is not None
        self._load_from_checkpoint(folder)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """By way of the CPU; the library's asks of several processes on a CPU for a device that torch has no name for."""
        if checkpoint:
            for name, what in {"optimizer.pt": self.optimizer, "scheduler.pt": self.lr_scheduler}.items():
                held: Any = what
                held.load_state_dict(torch.load(Path(checkpoint) / name, map_location="cpu", weights_only=True))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Put the trained numbers of an epoch into the model."""
        weights = load_file(Path(resume_from_checkpoint) / TRAINED)
        given: Any = self.model
        with torch.no_grad():
            for name, parameter in given.named_parameters():
                if parameter.requires_grad:
                    parameter.copy_(weights.pop(name))
        assert not weights, f"without a place in the model: {sorted(weights)[:3]}"


class _Epochs(transformers.TrainerCallback):
    """Says to the order which epoch it is, and writes what an epoch leaves."""

    def __init__(self, trainer: RowTrainer) -> None:
        self._trainer = trainer

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._trainer.order.epoch = state.global_step * args.num_train_epochs // state.max_steps

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        epoch, rest = divmod(state.global_step * args.num_train_epochs, state.max_steps)
        if not rest:  # else the training was stopped within it
            self._trainer.save_epoch(int(epoch))
