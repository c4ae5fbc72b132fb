"""What the stock recipes load of ours: data order, schedule, checkpointer, metric logger, and texts through the config."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from ftexp.data.rows import read_items
from ftexp.ground import paths
from ftexp.ground.errors import UserError
from ftexp.ground.yamlfile import dump_yaml
from ftexp.trainers.prompted_rows import IGNORED_LABEL
from ftexp.trainers.torchtune.components import checkpointer
from ftexp.trainers.torchtune.components.checkpointer import ADAPTER_FILE, ResumableCheckpointer, unpermute
from ftexp.trainers.torchtune.components.dataset import PromptedRows
from ftexp.trainers.torchtune.components.metric_logger import CsvLogger
from ftexp.trainers.torchtune.components.resume import epoch_dirs, finished_epochs
from ftexp.trainers.torchtune.components.schedule import constant_with_warmup, cosine_with_warmup, linear_with_warmup
from ftexp.trainers.torchtune.components.tokenizer import ChatTokenizer
from ftexp.trainers.torchtune.config import training_config
from ftexp.trainers.train_csv import TrainingFailed
from helpers.marks import slow_but
from helpers.tiny_models import DATE, TinyExperiment, make_experiment, make_tiny_model, read_train_csv, set_up_recipe, train
from omegaconf import OmegaConf
from torchtune import config as torchtune_config
from transformers import get_scheduler

# 14 training rows in batches of 2, two of which make a step: 3 steps an epoch, and a tail of 2 rows.
EPOCHS, STEPS_PER_EPOCH, EFFECTIVE_BATCH = 3, 3, 4
STEPS = EPOCHS * STEPS_PER_EPOCH

Products = tuple[bytes, list[tuple[str, ...]]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> TinyExperiment:
    return make_experiment(
        tmp_path_factory.mktemp("made"), "qwen2", "chatml", factors={"seed": [1, 2]},
        constants={"epochs": EPOCHS, "gradient_accumulation_steps": 2, "warmup_steps": 2},
    )


@pytest.fixture
def experiment(made: TinyExperiment, monkeypatch: pytest.MonkeyPatch) -> TinyExperiment:
    """An experiment with one run per seed; the working folder is its root."""
    monkeypatch.chdir(made.root)
    return made


def products(output_dir: Path) -> Products:
    """What a training gives, the clock aside: the last epoch's adapter, and the rows of train.csv."""
    return (output_dir / f"epoch_{EPOCHS - 1}" / ADAPTER_FILE).read_bytes(), read_train_csv(output_dir / "train.csv")


def train_into(experiment: TinyExperiment, output_dir: Path, run: str = "s1", **changes: Any) -> Products:
    train(experiment.config(run, output_dir=str(output_dir), **changes))
    return products(output_dir)


@pytest.fixture(scope="module")
def uninterrupted(made: TinyExperiment, tmp_path_factory: pytest.TempPathFactory) -> Products:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made.root)
        return train_into(made, tmp_path_factory.mktemp("uninterrupted"))


# Seeds.


def batches_of_an_epoch(recipe: Any) -> list[list[list[int]]]:
    return [batch["tokens"].tolist() for batch in recipe._dataloader]


def rows_of_an_epoch(recipe: Any) -> list[tuple[int, ...]]:
    """Rows as they enter the model, their padding cut off."""
    pad = recipe._tokenizer.pad_id
    return [tuple(token for token in row if token != pad) for batch in batches_of_an_epoch(recipe) for row in batch]


def test_first_batch_and_initial_lora_a_differ_between_seeds(experiment: TinyExperiment, tmp_path: Path) -> None:
    first, second = (set_up_recipe(experiment.config(run, output_dir=str(tmp_path / run))) for run in ("s1", "s2"))
    assert sorted(batches_of_an_epoch(first)[0]) != sorted(batches_of_an_epoch(second)[0])
    matrices = [name for name in first.adapter_params if "lora_a" in name]
    assert len(matrices) == 2 * 7
    assert not any(torch.equal(first.adapter_params[name], second.adapter_params[name]) for name in matrices)


def test_same_seed_gives_same_bytes(
    experiment: TinyExperiment, uninterrupted: Products, tmp_path: Path
) -> None:
    assert train_into(experiment, tmp_path) == uninterrupted


def test_another_seed_gives_other_weights(
    experiment: TinyExperiment, uninterrupted: Products, tmp_path: Path
) -> None:
    assert train_into(experiment, tmp_path, run="s2")[0] != uninterrupted[0]


def test_every_seed_trains_on_the_same_set_of_rows(experiment: TinyExperiment, tmp_path: Path) -> None:
    """The first 12 of 14: the tail that fills no accumulation group is the same for all."""
    seeds = [rows_of_an_epoch(set_up_recipe(experiment.config(run, output_dir=str(tmp_path / run)))) for run in ("s1", "s2")]
    assert seeds[0] != seeds[1]
    assert sorted(seeds[0]) == sorted(seeds[1])
    assert len(set(seeds[0])) == STEPS_PER_EPOCH * EFFECTIVE_BATCH


def test_every_epoch_has_an_order_of_its_own(experiment: TinyExperiment, tmp_path: Path) -> None:
    recipe = set_up_recipe(experiment.config("s1", output_dir=str(tmp_path)))
    orders = []
    for epoch in range(2):
        recipe._dataloader.sampler.set_epoch(epoch)
        orders.append(rows_of_an_epoch(recipe))
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])


# Kill and resume.


class Killed(Exception):
    """Stands for kill -9: nothing of ours handles it."""


def kill_before(method: str, call: int, monkeypatch: pytest.MonkeyPatch, owner: Any = ResumableCheckpointer) -> None:
    """Die where `method` of `owner` is called for the `call`th time (from 1)."""
    original, calls = getattr(owner, method), []

    def dying(self: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        if len(calls) == call:
            raise Killed(method)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(owner, method, dying)


def kill_and_resume(experiment: TinyExperiment, output_dir: Path, kill: Callable[[pytest.MonkeyPatch], None]) -> int:
    """Train until killed, then go on as `execute.py` does; return the finished epochs in between."""
    with pytest.MonkeyPatch.context() as patch:
        kill(patch)
        with pytest.raises(Killed):
            train_into(experiment, output_dir)
    finished = finished_epochs(output_dir)
    train(experiment.config("s1", output_dir=str(output_dir), resume_from_checkpoint=bool(finished)))
    return finished


KILLS: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], int]] = {
    "in the first epoch": (lambda patch: kill_before("log_dict", 2, patch, CsvLogger), 0),
    "between the first adapter and its optimizer": (lambda patch: kill_before("_save_state", 1, patch), 0),
    "between the second adapter and its optimizer": (lambda patch: kill_before("_save_state", 2, patch), 1),
    "before the second adapter is exported right": (lambda patch: kill_before("_undo_rope_permutation", 2, patch), 1),
    "before the first epoch is removed": (lambda patch: kill_before("remove_before", 2, patch, checkpointer), 2),
    "in the middle of the second epoch": (lambda patch: kill_before("log_dict", STEPS_PER_EPOCH + 2, patch, CsvLogger), 1),
    "after the last epoch": (lambda patch: kill_before("close", 1, patch, CsvLogger), EPOCHS - 1),
}


# `make test-slow` at all other moments.
TRIED = ("between the second adapter and its optimizer", "in the middle of the second epoch", "after the last epoch")


@pytest.mark.parametrize("when", slow_but(KILLS, *TRIED))
def test_a_killed_training_ends_with_the_bytes_losses_and_rates_of_an_uninterrupted_one(
    when: str, experiment: TinyExperiment, uninterrupted: Products, tmp_path: Path
) -> None:
    kill, finished = KILLS[when]
    assert kill_and_resume(experiment, tmp_path, kill) == finished
    assert products(tmp_path) == uninterrupted


def test_dropout_goes_on_after_a_kill_as_it_would_have(
    experiment: TinyExperiment, uninterrupted: Products, tmp_path: Path
) -> None:
    dropout = {"model__lora_dropout": 0.3}
    whole = train_into(experiment, tmp_path / "whole", **dropout)
    assert whole[1] != uninterrupted[1]
    with pytest.MonkeyPatch.context() as patch:
        kill_before("log_dict", STEPS_PER_EPOCH + 2, patch, CsvLogger)
        with pytest.raises(Killed):
            train_into(experiment, tmp_path / "killed", **dropout)
    assert train_into(experiment, tmp_path / "killed", resume_from_checkpoint=True, **dropout) == whole


def test_a_training_killed_twice_ends_like_an_uninterrupted_one(
    experiment: TinyExperiment, uninterrupted: Products, tmp_path: Path
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        kill_before("_save_state", 2, patch)
        with pytest.raises(Killed):
            train_into(experiment, tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        kill_before("log_dict", 2, patch, CsvLogger)
        with pytest.raises(Killed):
            train_into(experiment, tmp_path, resume_from_checkpoint=True)
    assert train_into(experiment, tmp_path, resume_from_checkpoint=True) == uninterrupted


def test_a_state_file_that_is_cut_short_is_never_under_the_states_name(
    experiment: TinyExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(state: Any, file: Any) -> None:
        file.write(b"PK")
        raise Killed("torch.save")

    original = torch.save
    monkeypatch.setattr(torch, "save", lambda what, file: half(what, file) if hasattr(file, "fileno") else original(what, file))
    with pytest.raises(Killed):
        train_into(experiment, tmp_path)
    assert finished_epochs(tmp_path) == 0


def test_older_epochs_go_while_training_goes_on(experiment: TinyExperiment, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        kill_before("log_dict", 2 * STEPS_PER_EPOCH + 1, patch, CsvLogger)
        with pytest.raises(Killed):
            train_into(experiment, tmp_path)
    assert list(epoch_dirs(tmp_path)) == [1]


def test_unpermute_undoes_the_stock_exports_permutation() -> None:
    matrix = torch.arange(2 * 8 * 3).view(16, 3)
    permuted = matrix.view(2, 4, 2, 3).transpose(1, 2).reshape(16, 3)
    assert not torch.equal(permuted, matrix)
    assert torch.equal(unpermute(permuted, 2), matrix)


# Schedule and metric logger.


def rates(
    steps: int, state: dict[str, Any] | None = None, *, make: Callable[..., Any] = cosine_with_warmup, warmup: int = 3
) -> tuple[list[float], dict[str, Any]]:
    """The learning rate at each of the next steps of a schedule of 10, and the optimizer's state after them."""
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.AdamW([weight], lr=0.3)
    if state:
        optimizer.load_state_dict(state)
    schedule = make(optimizer, num_warmup_steps=warmup, num_training_steps=10)
    seen = []
    for _ in range(steps):
        weight.grad = torch.ones(1)
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return seen, optimizer.state_dict()


@pytest.mark.parametrize("warmup", [0, 1, 3, 9])
@pytest.mark.parametrize(("ours", "theirs"), [
    (cosine_with_warmup, "cosine"), (linear_with_warmup, "linear"), (constant_with_warmup, "constant_with_warmup"),
])
def test_every_step_has_the_rate_of_transformers_schedule_after_a_resume_too(
    ours: Callable[..., Any], theirs: str, warmup: int
) -> None:
    whole, _ = rates(10, make=ours, warmup=warmup)
    assert whole == rates(10, make=lambda *args, **named: get_scheduler(theirs, *args, **named), warmup=warmup)[0]
    assert whole[warmup] == 0.3 and whole[:warmup] == pytest.approx([0.3 * step / warmup for step in range(warmup)])
    for done in range(1, 10):
        before, state = rates(done, make=ours, warmup=warmup)
        assert before + rates(10 - done, state, make=ours, warmup=warmup)[0] == whole


def test_train_csv_has_one_row_per_step_and_says_of_which_epoch(uninterrupted: Products) -> None:
    rows = uninterrupted[1]
    assert [(int(step), int(epoch)) for step, epoch, _, _ in rows] == [(n + 1, n // STEPS_PER_EPOCH + 1) for n in range(STEPS)]
    assert all(float(loss) > 0 for _, _, loss, _ in rows)
    assert float(rows[-1][3]) == pytest.approx(0, abs=1e-12)


def test_a_kill_while_the_metric_logger_begins_again_loses_no_row(
    experiment: TinyExperiment, uninterrupted: Products, tmp_path: Path
) -> None:
    """Opening train.csv for writing empties it; a kill right then must not leave it empty."""
    with pytest.MonkeyPatch.context() as patch:
        kill_before("_save_state", 2, patch)
        with pytest.raises(Killed):
            train_into(experiment, tmp_path)
    original = Path.open

    def dying(self: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        file = original(self, mode, *args, **kwargs)
        if self.name.startswith("train") and mode == "w":
            file.close()
            raise Killed("open")
        return file

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", dying)
        with pytest.raises(Killed):
            train_into(experiment, tmp_path, resume_from_checkpoint=True)
    assert train_into(experiment, tmp_path, resume_from_checkpoint=True) == uninterrupted


def test_a_step_of_no_token_ends_the_training_with_its_rows(
    experiment: TinyExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = PromptedRows.__getitem__
    without = {"labels": [IGNORED_LABEL] * 1000}
    monkeypatch.setattr(PromptedRows, "__getitem__", lambda rows, index: {
        name: without[name][: len(tokens)] if name in without else tokens for name, tokens in whole(rows, index).items()
    })
    with pytest.raises(TrainingFailed, match=r"^step 1: the loss is nan, .* on rows \d+, \d+, \d+, \d+ of data/splits/"):
        train_into(experiment, tmp_path)


# The data set, and texts on their way through the config.


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    make_tiny_model(folder, "qwen2", "chatml")
    return folder


def write_items(folder: Path, inputs: list[str]) -> Path:
    path = folder / "train.jsonl"
    items = [{"item": str(number), "row": {"input": text, "output": "yes"}} for number, text in enumerate(inputs)]
    path.write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")
    return path


def make_dataset(file: Path, model_dir: Path, **changes: Any) -> PromptedRows:
    arguments = {
        "system": None, "user": "{input}", "input_column": "input", "output_column": "output", "loss": "completion",
        "rows": len(read_items(file)), "seed": 1,
    }
    return PromptedRows(ChatTokenizer(str(model_dir), DATE), file=str(file), **{**arguments, **changes})


def test_a_row_longer_than_max_seq_len_is_an_error_that_counts_such_rows(tmp_path: Path, model_dir: Path) -> None:
    file = write_items(tmp_path, ["a", "bbbb", "cccc"])
    longest = len(make_dataset(write_items(tmp_path, ["cccc"]), model_dir)[0]["tokens"])
    write_items(tmp_path, ["a", "bbbb", "cccc"])
    assert len(make_dataset(file, model_dir, max_seq_len=longest)) == 3
    with pytest.raises(UserError, match=rf"max_seq_len: 2 of 3 rows are longer than {longest - 1} tokens \(longest {longest}\)"):
        make_dataset(file, model_dir, max_seq_len=longest - 1)


def test_a_split_with_too_few_rows_is_an_error(tmp_path: Path, model_dir: Path) -> None:
    with pytest.raises(UserError, match="has 2 rows, but the config wants 3"):
        make_dataset(write_items(tmp_path, ["a", "b"]), model_dir, rows=3)


def test_completion_loss_trains_the_answer_and_its_end_and_full_loss_all_but_the_first(tmp_path: Path, model_dir: Path) -> None:
    file = write_items(tmp_path, ["a"])
    row, full = make_dataset(file, model_dir)[0], make_dataset(file, model_dir, loss="full")[0]
    trained = [token for token, label in zip(row["tokens"], row["labels"], strict=True) if label != IGNORED_LABEL]
    assert ChatTokenizer(str(model_dir), DATE).render(trained) == "yes<|im_end|>"
    assert full["tokens"] == row["tokens"]
    assert full["labels"] == [IGNORED_LABEL, *row["tokens"][1:]]


TEXTS = [
    "${output_dir}/x ${epochs} ${oc.env:HOME} ${nothing}", "${output_dir}", "in ${output_dir}", "${output_dir}/profiling",
    "${unclosed", "$ {input} $$",
    r"\${a} \\${b} \\\${c} end\\", r"back\slash \n \\ C:\new", "braces {{ }} {{x}}", "what is ???", "%s %(x)s",
    "日本 ünï 🙂 \u2028 é", "line\nbreak\ttab  two blanks", "- yes: no # comment 'quotes' \"double\"", "1e-3", "null", "~",
]


@pytest.mark.parametrize("text", TEXTS)
def test_texts_reach_the_data_set_unchanged(text: str, experiment: TinyExperiment) -> None:
    """As system prompt and in the user's turn, through YAML and torchtune's own `instantiate`."""
    user = text.replace("{", "{{").replace("}", "}}") + " {input}"
    run = experiment.document("s1")
    run.prompt = {**run.prompt, "system": text, "user": user}
    Path("texts.yaml").write_text(dump_yaml(training_config(run)), encoding="utf-8")
    config = OmegaConf.load("texts.yaml")
    tokenizer = torchtune_config.instantiate(config.tokenizer)
    dataset = torchtune_config.instantiate(config.dataset, tokenizer)
    word = read_items(Path(config.dataset.file))[dataset.order[0]]["row"]["input"]
    shown = tokenizer.render([t for t, label in zip(*dataset[0].values(), strict=True) if label == IGNORED_LABEL])
    assert shown == f"<|im_start|>system\n{text}<|im_end|>\n<|im_start|>user\n{text} {word}<|im_end|>\n<|im_start|>assistant\n"


def test_references_of_the_config_itself_still_resolve(experiment: TinyExperiment) -> None:
    config = experiment.config("s1")
    assert config.checkpointer.output_dir == config.output_dir == str(paths.RunPaths("s1").scratch_dir("train"))


@pytest.mark.parametrize("kind", ["lora_finetune_single_device", "full_finetune_single_device"])
def test_every_text_of_the_config_is_resolved_by_torchtune_without_an_error(kind: str, experiment: TinyExperiment) -> None:
    """No reference of the shipped config was lost with the escaping."""
    run = experiment.document("s1")
    run.settings["recipe"] = kind
    resolved = yaml.safe_load(OmegaConf.to_yaml(OmegaConf.create(training_config(run)), resolve=True))
    assert "${" not in json.dumps(resolved)
