"""Mistakes that people make, each a small change to a good experiment: caught before anything is spent, with what to do.

The table in docs/mistakes.md is written from here, with what `tune validate` (torchtune 0.6.1) says of the same config.
"""

import datetime
import json
import re
import shutil
from pathlib import Path

import pytest
import stamp as stamp_stage
from ftexp.design.planning import planned_runs
from ftexp.ground import paths
from ftexp.ground.yamlfile import load_yaml
from helpers.bad_inputs import BAD_INPUTS
from helpers.changes import (
    MODEL,
    Change,
    both,
    constants,
    edit_json,
    experiment,
    free,
    in_every_row,
    rows,
    site,
    template,
    tensors,
)
from helpers.config_mistakes import MISTAKES as CONFIG_MISTAKES
from helpers.model_mistakes import MODEL_MISTAKES, Mistake
from helpers.spoken import said
from helpers.tiny_models import TinyExperiment, make_experiment
from helpers.torchtune_verdict import ACCEPTED, torchtune_verdict
from helpers.written_tables import promise, tell


def cut_the_weights() -> None:
    path = MODEL / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])


def name_a_shard_that_is_not_there() -> None:
    index = {"weight_map": {"model.norm.weight": "model-00002-of-00002.safetensors"}}
    (MODEL / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    (MODEL / "model.safetensors").unlink()


def edit_the_config() -> None:
    """What a hurried person does: change one run's generated file."""
    assert stamp_stage.main([]) == 0
    path = next(Path("runs").glob("*/finetune.yaml"))
    path.write_text(path.read_text(encoding="utf-8").replace("weight_decay: 0.01", "weight_decay: 0.5"), encoding="utf-8")


def name_a_field_that_nobody_sets() -> None:
    text = paths.JOB_TEMPLATE.read_text(encoding="utf-8")
    more = text.replace("{{sbatch}}", "{{sbatch}}\n#SBATCH --reservation={{reservation}}")
    paths.JOB_TEMPLATE.write_text(more, encoding="utf-8")


def split_in_two_files() -> None:
    """Explicit train and test files that share a question, for a template that writes all in small letters."""
    document = json.loads(Path("data/raw/rows.json").read_text(encoding="utf-8"))
    shared = {**document[0], "input": document[0]["input"].upper()}
    Path("data/raw/train.json").write_text(json.dumps(document[:14]), encoding="utf-8")
    Path("data/raw/test.json").write_text(json.dumps([shared, *document[14:]]), encoding="utf-8")
    template(CHATML.replace("message['content']", "message['content'] | lower"))()
    files = {"train": "data/raw/train.json", "test": "data/raw/test.json"}
    experiment(data={"source": None, "split": None, **files}, prompt={"user": "{input}"})()


def parts_of_three() -> None:
    """One file with a part that nothing reads."""
    document = json.loads(Path("data/raw/rows.json").read_text(encoding="utf-8"))
    parts = {"train": document[:10], "validation": document[10:12], "test": document[12:]}
    Path("data/raw/rows.json").write_text(json.dumps(parts), encoding="utf-8")
    experiment(data={"split": None})()


def turns_of(row: dict[str, str]) -> list[dict[str, str]]:
    return [{"role": "user", "content": row["input"]}, {"role": "assistant", "content": row["output"]}]


def all_of_them_in_the_test() -> None:
    files = {"train": "data/raw/rows.json", "test": "data/raw/rows.json"}
    experiment(data={"source": None, "split": None, **files})()


CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def own_template(text: str) -> Change:
    """A chat template in a file of the experiment."""

    def write() -> None:
        Path("own.jinja").write_text(text, encoding="utf-8")

    return both(write, experiment(prompt={"template": "own.jinja"}))


NO_SYSTEM = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + CHATML
TODAY = f"{datetime.date.today():%d %b %Y}\n{CHATML}"
ANOTHER_BEGINNING = CHATML.replace("'<|im_start|>assistant\n'", "'<|im_start|>assistant\n<think>\n'")
TWO_SIZES = {"small": {"lora_rank": 2, "batch_size": 2}, "large": {"lora_rank": 4, "batch_size": 7}}
SLURM = {"backend": "slurm", "train": {"time_min": 60, "mem_gb": 8, "cpus": 1, "gpus": 0},
         "eval": {"time_min": 60, "mem_gb": 8, "cpus": 1, "gpus": 0}}

MISTAKES = [
    Mistake("schema", "a misspelt section", experiment(factor={"lr": [1e-3]}),
            "experiment.yaml: factor: unknown key. Did you mean 'factors'?"),
    Mistake("schema", "a misspelt setting", constants(epoch=2),
            "experiment.yaml: constants.epoch: unknown key. Did you mean 'epochs'?"),
    Mistake("schema", "a text for a number", constants(epochs="three"),
            "experiment.yaml: constants.epochs: must be a whole number above 0, below 2^31, got 'three'"),
    Mistake("schema", "a misspelt factor", experiment(factors={"lora_ranks": [2, 4]}),
            "experiment.yaml: factors.lora_ranks: unknown factor. Did you mean 'lora_rank'?"),
    Mistake("schema", "a factor without levels", experiment(factors={"lr": []}),
            "experiment.yaml: factors.lr: must be a list of at least one level, got []"),
    Mistake("schema", "one level twice", experiment(factors={"lr": [1e-4, 0.0001]}),
            "experiment.yaml: factors.lr: has the level 0.0001 twice. Remove one."),
    Mistake("schema", "a misspelt key of torchtune", constants(optimizer__weight_decy=0.1),
            "experiment.yaml: optimizer.weight_decy: unknown torchtune key. Did you mean 'weight_decay'?"),
    Mistake("schema", "a text for a number of torchtune's", constants(optimizer__weight_decay="lots"),
            "finetune.yaml: optimizer.weight_decay: must be a number, got 'lots'"),
    Mistake("schema", "a LoRA module by another library's name", constants(lora_modules=["q_proj", "v_proj"]),
            "experiment.yaml: constants.lora_modules: must be a list out of q, k, v, o, mlp, output"),
    Mistake("schema", "a fact set in a second place", constants(optimizer__lr=0.1),
            "experiment.yaml: constants.optimizer.lr: is a torchtune key that another fact owns. Set 'lr' instead."),
    Mistake("schema", "DoRA", constants(model__use_dora=True),
            "experiment.yaml: constants.model.use_dora: is refused: torchtune 0.6.1 exports a DoRA adapter wrongly"),
    Mistake("schema", "quantisation-aware training", experiment(recipe="qat_distributed"),
            "experiment.yaml: recipe: is refused, because quantisation-aware training rounds weights"),
    Mistake("schema", "a component that is not there", constants(optimizer___component_="torch.optim.AdamV"),
            "finetune.yaml: optimizer._component_: torch.optim has nothing of that name. Did you mean 'Adam"),
    Mistake("schema", "a value that the optimizer cannot use", constants(optimizer__weight_decay=-1),
            "finetune.yaml: optimizer: cannot be built: Invalid weight_decay value: -1. Correct its values"),
    Mistake("schema", "a value that the model cannot use", constants(model__lora_dropout=1.5),
            "finetune.yaml: model: cannot be built: dropout probability has to be between 0 and 1, but got 1.5"),
    Mistake("schema", "a word for a limit", constants(clip_grad_norm="one"),
            "finetune.yaml: clip_grad_norm: must be a number above 0, 'inf' or null, got 'one'"),
    Mistake("data", "a file that is not there", experiment(data={"source": "data/raw/row.json"}),
            "data/raw/row.json: there is no such file"),
    Mistake("data", "a column that is not there", experiment(data={"output": "label"}),
            "data/raw/rows.json: row 1: has no column 'label', which experiment.yaml names as data.output"),
    Mistake("data", "an empty answer", rows(lambda document: document[3].update(output=" ")),
            "data/raw/rows.json: row 4: column 'output' is empty, got ' '. Fill it or remove the row."),
    Mistake("data", "a null where the prompt shows a column", both(experiment(prompt={"user": "{context}: {input}"}),
            rows(lambda document: [row.update(context=None if number == 2 else "x") for number, row in enumerate(document)])),
            "data/raw/rows.json: row 3: column 'context' holds null, which has no text of its own. Fill it or remove the row."),
    Mistake("data", "NaN for an answer", rows(lambda document: document[3].update(output=float("nan"))),
            "data/raw/rows.json: row 4: column 'output' holds NaN, which has no text of its own. Fill it or remove the row."),
    Mistake("data", "a list for an answer", rows(lambda document: document[3].update(output=["a"])),
            "data/raw/rows.json: row 4: column 'output' holds a list (['a']), which has no text of its own. Name a column of"),
    Mistake("data", "a conversation that ends with a question", both(experiment(data={"input": "chat", "output": "chat"}),
            in_every_row(chat=[{"role": "user", "content": "a"}])),
            "data/raw/rows.json: row 1: column 'chat': the conversation ends with a turn of the user, so that there is no"),
    Mistake("data", "a system text beside the turns", both(experiment(data={"input": "chat", "output": "chat"}),
            rows(lambda document: [row.update(chat=turns_of(row), system="Be brief.", input=None) for row in document]),
            experiment(prompt={"user": "{chat}"})),
            "column 'system' belongs to the question by its name, and no prompt shows it. Put it into the turns, or"),
    Mistake("data", "turns in a column of text",
            rows(lambda document: [row.update(input=str(turns_of(row))) for row in document]),
            "holds turns that are written as one text, as a CSV has them. Write the data as JSON lines or parquet"),
    Mistake("data", "a word for a missing answer", in_every_row(output="nan"),
            "holds what programs write for a missing value (nan, NA, null, None), and it is used as it", is_warning=True),
    Mistake("data", "a column called input that is not the input", both(experiment(data={"input": "word"}),
            rows(lambda document: [row.update(word=row["input"], input="") for row in document])),
            "experiment.yaml: prompt.user: {input}: stands for data.input, which is the column 'word', and the data has a"),
    Mistake("data", "malformed JSON", lambda: Path("data/raw/rows.json").write_text("[{}") and None,
            "data/raw/rows.json: line 1: not readable as JSON"),
    Mistake("data", "a test question in the training file", split_in_two_files,
            "train.jsonl: item 86f85efd6340 (apples): has the same prompt as a test row"),
    Mistake("data", "a validation file", experiment(data={"validation": "data/raw/rows.json"}),
            "experiment.yaml: data: has rows to validate by, and nothing is validated. Add `validation: {}`, or leave them out"),
    Mistake("data", "a share for validation", experiment(data={"split": {"train": 0.5, "validation": 0.1, "test": 0.4}}),
            "experiment.yaml: data: has rows to validate by, and nothing is validated. Add `validation: {}`, or leave them out"),
    Mistake("data", "a part for validation", parts_of_three,
            "data/raw/rows.json: has a part 'validation', and nothing asks for validation rows. Add `validation: {}` to"),
    Mistake("data", "all training rows in the test", all_of_them_in_the_test,
            "no row is left for train: all 28 of data/raw/rows.json have the prompt of a test row (of rows-"),
    Mistake("data", "more training rows than there are", constants(train_size=500),
            "experiment.yaml: no run is usable; s1: train_size: is 500, but the split has 14 training rows; lower it."),
    Mistake("data", "a row longer than the limit", both(constants(max_seq_len=64),
            rows(lambda document: [row.update(input=row["input"] * 20) for row in document])),
            "rows are longer than 64 tokens (longest 361); their answers would be cut, and the end never trained"),
    Mistake("data", "no test rows", experiment(data={"split": {"train": 1.0, "test": 0}}),
            "experiment.yaml: data: no row is left for test. Give more rows, or a larger share."),
    Mistake("data", "a special token inside an answer", in_every_row(output="a<|im_end|>b"),
            "has <|im_end|> in its answer, at which generation stops, so the rest could never be learned. Take it out"),
    Mistake("data", "an empty question", rows(lambda document: [row.update(input=" ") for row in document[:1]]),
            "its input is empty. Fill it or remove the row", is_warning=True),
    Mistake("data", "two answers to one question",
            rows(lambda document: document.extend({**row, "output": "no"} for row in document[:])),
            "the same prompt has another answer in another row", is_warning=True),
    Mistake("data", "one question many times", rows(lambda document: document.extend(document[:])),
            "the same prompt stands in other test rows, and the intervals take rows for independent", is_warning=True),
    Mistake("data", "labels spelt in two ways", rows(lambda document: [
            row.update(output="Yes" if number % 2 else "yes") for number, row in enumerate(document)]),
            "answers differ in capitals only (Yes, yes), and the scorer tells them apart", is_warning=True),
    Mistake("model", "a folder that is not there", constants(model="tinny"),
            "experiment.yaml: model: there is no folder models/tinny. Did you mean 'tiny'?"),
    Mistake("model", "a shard that was not copied", name_a_shard_that_is_not_there,
            "models/tiny/model.safetensors.index.json: names files that are not there: model-00002-of-00002.safetensors"),
    Mistake("model", "a file cut short", cut_the_weights,
            "models/tiny/model.safetensors: has 317006 bytes, and its header says 317016. Copy the model again, whole"),
    Mistake("model", "a tensor that is missing", tensors(lambda held: held.pop("model.layers.0.mlp.up_proj.weight")),
            "models/tiny: parameters of the model without a tensor: 1 (layers.0.mlp.w3.weight)"),
    Mistake("model", "config.json of another size", lambda: edit_json("config.json", intermediate_size=48),
            "models/tiny: layers.0.mlp.w1.weight: has the shape [96, 64] in the checkpoint and [48, 64] in the model."),
    Mistake("model", "a tokenizer of a larger model", lambda: edit_json("config.json", vocab_size=256),
            "models/tiny/config.json: vocab_size: is 256, but the tokenizer has tokens up to number 258"),
    Mistake("model", "an end token of another model", lambda: edit_json("generation_config.json", eos_token_id=7),
            "models/tiny/generation_config.json: eos_token_id: 7 is the ordinary token "),
    Mistake("model", "no tokenizer", lambda: [p.unlink() for p in MODEL.glob("tokenizer*")] and None,
            "models/tiny: has no tokenizer (tokenizer.json, tokenizer.model, vocab.json). Copy the model again, whole."),
    Mistake("model", "a tokenizer cut short", lambda: (MODEL / "tokenizer.json").write_text('{"version"') and None,
            "models/tiny/tokenizer.json: line 1: not readable as JSON"),
    Mistake("model", "a word for a number", lambda: edit_json("config.json", rope_theta="10k"),
            "models/tiny/config.json: rope_theta: must be a number above 0, got '10k'. Correct it."),
    Mistake("model", "a limit beyond the model's", constants(max_seq_len=20_000),
            "experiment.yaml: max_seq_len: is 20000, but the model tiny takes 16384. Lower it"),
    *MODEL_MISTAKES,
    Mistake("model", "a vision model", lambda: edit_json("config.json", model_type="mllama"),
            "models/tiny/config.json: model_type: 'mllama' is a vision model, and prompts here are text. Choose a text model."),
    Mistake("model", "LoRA on an output layer that is the embedding", constants(lora_modules=["q", "output"]),
            "experiment.yaml: lora_modules: the output layer of this qwen2 is the embedding again"),
    Mistake("prompt", "answers longer than the limit", experiment(evaluation={"max_tokens": 2}),
            "experiment.yaml: evaluation.max_tokens: is 2, but the longest reference answer has "),
    Mistake("prompt", "a placeholder that is no column", experiment(prompt={"user": "say: {inptu}"}),
            "experiment.yaml: prompt.user: {inptu}: unknown column. Did you mean 'input'?"),
    Mistake("prompt", "a template that prints today's date", template(TODAY),
            "models/tiny: chat_template: prints today's date"),
    Mistake("prompt", "a template without a system role", both(template(NO_SYSTEM), experiment(prompt={"system": "Be brief."})),
            "System role not supported"),
    Mistake("prompt", "a template whose prompt is no beginning of the whole", template(ANOTHER_BEGINNING),
            "models/tiny: chat_template: renders another prompt before an answer than for generation"),
    Mistake("prompt", "marks that the tokenizer does not know", template(CHATML.replace("im_start", "turn_start")),
            "models/tiny: chat_template: writes <|turn_start|>, for which the tokenizer has no token of its own",
            is_warning=True),
    Mistake("prompt", "a prompt without the question", experiment(prompt={"user": "Answer."}),
            "experiment.yaml: prompt.user: names no column, so every prompt would be the same, got 'Answer.'"),
    Mistake("prompt", "a prompt that holds its answer", experiment(prompt={"user": "{output}? {input}"}),
            "experiment.yaml: prompt.user: {output} is the column of the answers (data.output)"),
    Mistake("prompt", "a template of one's own that is not there", experiment(prompt={"template": "own.jinja"}),
            "prompt.template: there is no file own.jinja. Put it there, or correct the name."),
    Mistake("prompt", "a template of one's own that Jinja cannot read", own_template("{% if %}"),
            "own.jinja: is no template: line 1: Expected an expression, got 'end of statement block'. Correct it."),
    Mistake("prompt", "a template of one's own without the answer", own_template("{{ messages[0]['content'] }}"),
            "own.jinja: leaves the answer out"),
    Mistake("prompt", "a template itself for its file", experiment(prompt={"template": CHATML}),
            "experiment.yaml: prompt.template: must be a file that ends in .jinja, or null for the model's own template, got"),
    Mistake("prompt", "a template whose end no tokenizer knows", own_template(
            "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}<end>\n{% endfor %}"
            "{{ 'assistant: ' if add_generation_prompt }}"),
            "own.jinja: ends an answer with '<end>', in which no token stops generation; <|im_end|> stands in its place, in",
            is_warning=True),
    Mistake("prompt", "a template that never ends", template("{% for i in range(10 ** 9) %}{% endfor %}"),
            "models/tiny: chat_template: cannot render a user's turn and an answer: OverflowError"),
    Mistake("design", "a learning rate without its minus", both(free("lr"), experiment(factors={"lr": [1e4], "seed": [1]})),
            "experiment.yaml: lr: is 10000.0, and above 1 a training diverges as a rule. Check the exponent", is_warning=True),
    Mistake("design", "a factor that changes nothing", experiment(factors={"weight_decay": [None, 0.01]}),
            "experiment.yaml: factors.weight_decay: changes nothing here: it trains and evaluates exactly what run wdnone does"),
    Mistake("design", "a rank without LoRA matrices", both(free("lora_rank"), experiment(
            recipe="full_finetune_single_device", factors={"lora_rank": [2, 4]})),
            "experiment.yaml: factors.lora_rank: sets lora_rank, which changes nothing, as all runs there have a recipe that"),
    Mistake("design", "a warm-up longer than the training", constants(warmup_steps=50),
            "experiment.yaml: no run is usable; s1: warmup_steps: is 50, but the training has 7 steps"),
    Mistake("design", "a batch larger than the data", constants(batch_size=64),
            "experiment.yaml: no run is usable; s1: batch_size: 64 rows a step, but there are only 14 training rows"),
    Mistake("design", "a batch that moves with another factor",
            both(free("lora_rank", "batch_size"), experiment(factors={"size": TWO_SIZES})),
            "experiment.yaml: factors.size: a step takes 7 rows here and 2 in run size-small, so that two effects cannot be"),
    Mistake("design", "one key edited in one run", edit_the_config,
            "runs/s1/finetune.yaml: was edited by hand, but is generated"),
    Mistake("design", "one seed", both(free("lr"), experiment(factors={"lr": [1e-3, 1e-2]})),
            "experiment.yaml: factors.seed: there is one seed", is_warning=True),
    Mistake("design", "a batch that drops other rows", both(free("batch_size"), experiment(factors={"batch_size": [2, 4]})),
            "experiment.yaml: factors.batch_size: also changes how many rows train (14 at 2, 12 at 4) and the number of steps",
            is_warning=True),
    Mistake("design", "a size that changes the steps", experiment(factors={"train_size": [4, 12]}),
            "experiment.yaml: factors.train_size: also changes the number of steps (2 at 4, 6 at 12), so that its effect may be",
            is_warning=True),
    Mistake("design", "one alpha for all ranks",
            both(free("lora_rank"), constants(lora_alpha=8), experiment(factors={"lora_rank": [4, 8]})),
            "experiment.yaml: factors.lora_rank: also changes alpha / rank, by which the update is multiplied (2 at 4, 1 at 8)",
            is_warning=True),
    Mistake("design", "a rank above the layer's width", constants(lora_rank=128),
            "experiment.yaml: lora_rank: 128 is above 32, the smaller side of k in tiny: no change of that matrix",
            is_warning=True),
    Mistake("design", "an adapter larger than its base", constants(lora_rank=128),
            "experiment.yaml: lora_rank: 128 trains ", is_warning=True),
    Mistake("data", "free texts scored by equality", both(experiment(evaluation={"max_tokens": 64}), rows(lambda document: [
            row.update(output=f"One {row['input']} lies on the old table.") for row in document])),
            "experiment.yaml: evaluation.scorers: exact takes an answer for right only where it is the reference",
            is_warning=True),
    Mistake("data", "a class of few test rows under macro F1", both(experiment(evaluation={"metrics": ["macro_f1"]}), rows(
            lambda document: [row.update(output="no" if number < 4 else "yes") for number, row in enumerate(document)])),
            "experiment.yaml: evaluation.metrics: macro_f1 counts each of the 2 classes alike, and these have fewer",
            is_warning=True),
    Mistake("site", "a misspelt key", site(acount="x"), "site.yaml: acount: unknown key. Did you mean 'account'?"),
    Mistake("site", "a backend that is not there", site(backend="pbs"),
            "site.yaml: backend: must be one of local, slurm, got 'pbs'"),
    Mistake("site", "a GPU asked for, and none given", site(**SLURM, device="cuda"),
            "site.yaml: train.gpus: is 0, and device is cuda. Ask for a GPU, or set device: cpu. If the "),
    Mistake("site", "a type of GPU in sbatch's spelling", site(**SLURM | {"train": {**SLURM["train"], "gpus": "gpu:a100:1"}}),
            "site.yaml: train.gpus: must be a whole number, 0 or more, or a type and a number such as a100:2, got 'gpu:a100:1'"),
    Mistake("site", "a walltime shorter than its warning", site(**SLURM, warn_s=7200),
            "site.yaml: train.time_min: is 60, and warn_s is 7200, so a job could be warned of its end as it begins"),
    Mistake("site", "a field of the job template that nobody sets", name_a_field_that_nobody_sets,
            "job.slurm.template: "),
    Mistake("site", "a distributed recipe on a CPU", experiment(recipe="lora_finetune_distributed"),
            "site.yaml: device: this leaves lora_finetune_distributed on a CPU, where torchtune 0.6.1 does not start it",
            is_warning=True),
    Mistake("site", "a batch that the GPUs cannot share", both(experiment(recipe="lora_finetune_distributed"), site(**{
            **SLURM, "device": "cuda", "train": {**SLURM["train"], "gpus": 4}, "eval": {**SLURM["eval"], "gpus": 1}})),
            "site.yaml: train.gpus: 4 processes cannot share out a batch of 2 rows evenly. Choose a number of GPUs that divides"),
    Mistake("site", "a module with a blank", site(modules=["cuda 12"]),
            "site.yaml: modules: must be names as `module load` takes them, got 'cuda 12'"),
]
_CONFIG = (f"config: {name}" for name, *_ in CONFIG_MISTAKES)
promise("mistakes", [*(mistake.name for mistake in MISTAKES), *(bad.name for bad in BAD_INPUTS), *_CONFIG])
LEAST = {"schema": 10, "data": 8, "model": 8, "prompt": 6, "design": 5, "site": 5}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> TinyExperiment:
    """An experiment in which nothing is wrong."""
    return make_experiment(tmp_path_factory.mktemp("good") / "tiny", "qwen2", "chatml", evaluation={"max_tokens": 24})


@pytest.fixture
def folder(good: TinyExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, the working folder."""
    shutil.copytree(good.root, tmp_path / "tiny", symlinks=True)
    monkeypatch.chdir(tmp_path / "tiny")
    return tmp_path / "tiny"


def verdict_after(stage: str) -> str:
    """What `tune validate` says of the config of the first run, where stamp made one."""
    trained = next((run.id for run in planned_runs() if run.kind == "trained"), "") if stage != "stamp" else ""
    return torchtune_verdict(load_yaml(paths.RunPaths(trained).finetune_yaml)) if trained else "there is no config yet"


def shown(line: str) -> str:
    """A message as the table has it, without the runs and what differs from day to day."""
    runs = r"^(warning: )?runs/[\w.+-]+(, runs/[\w.+-]+)*( and \d+ more)?: (not stamped: )?"
    text = re.sub(runs, lambda found: found[1] or "", line)
    return text.replace(f"{datetime.date.today():%d %b %Y}", "<today>")


def test_the_good_experiment_is_good(folder: Path) -> None:
    stage, code, lines = said()
    assert (stage, code, lines[-1]) == ("validate", 0, "validate: 2 of 2 runs are ready")
    assert verdict_after(stage) == ACCEPTED


def test_there_are_as_many_mistakes_as_promised() -> None:
    counts = {group: sum(mistake.group == group for mistake in MISTAKES) for group in LEAST}
    assert all(counts[group] >= least for group, least in LEAST.items()) and sum(LEAST.values()) == 42
    assert len({mistake.name for mistake in MISTAKES}) == len(MISTAKES)


@pytest.mark.parametrize("mistake", MISTAKES, ids=[f"{mistake.group}: {mistake.name}" for mistake in MISTAKES])
def test_a_mistake_is_caught_with_its_message(mistake: Mistake, folder: Path) -> None:
    mistake.change()
    stage, code, lines = said()
    found = [line for line in lines if mistake.message in line]
    assert found, "\n".join(lines)
    assert (code == 0) == mistake.is_warning
    tell("mistakes", mistake.name, [mistake.group, mistake.name, shown(found[0]), verdict_after(stage)])
