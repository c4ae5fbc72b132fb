"""Looks at a training while it goes on: the loss of validation rows, a score of answers to them; keeps the best, and stops.

Nothing of the training changes by being looked at: no random number is drawn, and the schedule stays that of all its steps. So a
stopped training is, byte for byte, the unstopped one at that step.
"""

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers

from ftexp.data.conversations import answer_text
from ftexp.data.prompts import prompt_turns
from ftexp.data.rows import read_items
from ftexp.ground.components import component_at
from ftexp.models.chat import Chat
from ftexp.models.generation import generate
from ftexp.trainers.labelled_rows import LabelledRows
from ftexp.trainers.prompted_rows import PromptedRows
from ftexp.trainers.train_csv import TrainingFailed
from ftexp.trainers.transformers.batches import Batches, summed_loss
from ftexp.trainers.transformers.resume import best_dirs
from ftexp.trainers.validation_csv import BEST, VALIDATION_CSV, Look, Rule, read_looks, write_looks

if TYPE_CHECKING:
    from ftexp.trainers.transformers.training import RowTrainer

# How many answers are generated at a time.
_ANSWERS = 64


class Validation(transformers.TrainerCallback):
    """One training's looks."""

    def __init__(self, trainer: "RowTrainer", config: Mapping[str, Any], chat: Chat, finished_steps: int) -> None:
        """Tokenize the rows.

        Args:
            config: The content of a finetune.yaml with a section `validation`.
            finished_steps: Those before a resume, whose looks are kept.
        """
        section = config["validation"]
        items = read_items(Path(section["file"]))
        self._trainer, self._chat, self._every = trainer, chat, section["every_steps"]
        self._labels = config["model"].get("labels")
        rows = rows_of(chat, config, {**config["dataset"], "file": section["file"], "rows": len(items), "seed": 0})
        self._pad_id = rows.pad_id
        self._batches = self._own_batches(sorted((rows[index] for index in range(len(rows))), key=lambda row: len(row["tokens"])))
        self._rule = Rule.of(section)
        self._folder = Path(config["output_dir"])
        self._looks = [look for look in read_looks(self._folder / VALIDATION_CSV) if look.step <= finished_steps]
        self._asked: list[tuple[list[int], str]] = []
        self._scores: Callable[[Sequence[str], Sequence[str]], list[float | None]] | None = None
        if "scorer" in section:
            self._max_tokens = section["max_tokens"]
            self._scores = _scorer(section["scorer"])
            asked = sorted((_asked(chat, config["dataset"], item["row"]) for item in items), key=lambda pair: len(pair[0]))
            self._asked = asked[trainer.args.process_index :: trainer.args.world_size]

    @property
    def is_over(self) -> bool:
        """Whether it is of no use to train on."""
        return self._rule.is_over(self._looks)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Look, where it is time; keep the step where it is the best so far, and stop where none was for too long."""
        if state.global_step % self._every and state.global_step < state.max_steps:
            return
        look = Look(state.global_step, state.global_step * args.num_train_epochs / state.max_steps, self._values())
        self._looks.append(look)
        is_best = self._rule.best(self._looks) is look
        control.should_training_stop = control.should_training_stop or self.is_over
        is_last = self.is_over or state.global_step == state.max_steps
        if args.should_save:
            write_looks(self._folder, self._looks)
        is_kept = is_best and self._rule.keep == BEST
        if is_kept or (is_last and self._rule.kept(self._looks).step == look.step):
            self._trainer.save_step(look.step)

    def conclude(self) -> None:
        """Say in validation.csv which step was kept, once the training has ended."""
        kept = self._rule.kept(self._looks)
        write_looks(self._folder, [kept if look.step == kept.step else look for look in self._looks])

    def forget_others(self) -> None:
        """Only the step that would be kept now stays, once the training goes on from here."""
        kept = self._rule.kept(self._looks).step if self._looks else None
        for step, folder in best_dirs(self._folder).items():
            if step != kept:
                shutil.rmtree(folder)

    def _values(self) -> dict[str, float]:
        model: Any = self._trainer.model
        model.eval()
        try:
            values = {"loss": self._loss()}
            if self._scores:
                values[self._rule.metric] = self._score(self._scores)
        finally:
            model.train()
        return values

    def _own_batches(self, rows: list[dict[str, Any]]) -> list[dict[str, torch.Tensor]]:
        """Those that this process takes of all, on the CPU."""
        args = self._trainer.args
        starts = range(0, len(rows), args.per_device_train_batch_size)[args.process_index :: args.world_size]
        return [self._trainer.data_collator(rows[start : start + args.per_device_train_batch_size]) for start in starts]

    def _loss(self) -> float:
        """Mean over the trained tokens of all rows, each process taking its share of them."""
        trainer, args = self._trainer, self._trainer.args
        total = torch.zeros(2, dtype=torch.float64, device=args.device)
        for batch in self._batches:
            inputs = trainer._prepare_inputs(dict(batch))
            labels = inputs.pop("labels")
            with torch.no_grad(), trainer.compute_loss_context_manager():
                summed, count = summed_loss(self._model(**inputs).logits, labels)
            total += torch.stack([summed.double(), count.double()])
        reduced: Any = trainer.accelerator.reduce(total, "sum")
        return float(reduced[0] / reduced[1])

    def _answers(self, prompts: list[list[int]]) -> list[str]:
        """Texts that are generated, or the labels that are most probable."""
        if not self._labels:
            return [answer.text for answer in generate(self._model, self._chat, prompts, self._max_tokens)]
        inputs = Batches(self._pad_id)([{"tokens": prompt, "labels": 0} for prompt in prompts])
        with torch.no_grad():
            logits = self._model(input_ids=inputs["input_ids"].to(self._trainer.args.device)).logits
        return [self._labels[number] for number in logits.argmax(-1).tolist()]

    @property
    def _model(self) -> Any:
        return self._trainer.model

    def _score(self, scores: Callable[[Sequence[str], Sequence[str]], list[float | None]]) -> float:
        """Mean over the answers that could be scored; not a number where none could."""
        trainer, args = self._trainer, self._trainer.args
        found: list[float] = []
        config = self._model.config
        config.use_cache = True
        for start in range(0, len(self._asked), _ANSWERS):
            prompts, targets = zip(*self._asked[start : start + _ANSWERS], strict=True)
            with trainer.compute_loss_context_manager():
                answers = self._answers(list(prompts))
            found += [value for value in scores(answers, targets) if value is not None]
        config.use_cache = False
        total = torch.tensor([math.fsum(found), len(found)], dtype=torch.float64, device=args.device)
        reduced: Any = trainer.accelerator.reduce(total, "sum")
        return float(reduced[0] / reduced[1]) if reduced[1] else math.nan


def rows_of(chat: Chat, config: Mapping[str, Any], section: Mapping[str, Any], *, is_strict: bool = False) -> Any:
    """The data set of a config's rows, as texts or as labels."""
    labels = config["model"].get("labels")
    return LabelledRows(chat, labels, section, is_strict=is_strict) if labels else PromptedRows(chat, **section)


def _scorer(section: Mapping[str, Any]) -> Callable[[Sequence[str], Sequence[str]], list[float | None]]:
    """The component that a config names, with its options."""
    function = component_at(section["_component_"])
    return lambda answers, targets: function(answers, targets, kind=section["kind"], options=section["options"])


def _asked(chat: Chat, columns: Mapping[str, Any], row: Mapping[str, Any]) -> tuple[list[int], str]:
    """A row's prompt, and what is right."""
    if "text_column" in columns:
        raise TrainingFailed("validation.metric: a document has no answer to be scored. Set validation.metric: loss")
    turns = prompt_turns({"system": columns["system"], "user": columns["user"]}, columns["input_column"], row)
    return chat.prompt_ids(turns), answer_text(row, columns["input_column"], columns["output_column"])
