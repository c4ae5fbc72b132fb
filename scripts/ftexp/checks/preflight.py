"""The checks of `make validate`, in one process for all runs. Each returns messages; none stops the others."""

import ast
import itertools
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from ftexp import paths
from ftexp.chat import Chat, Message, render_messages
from ftexp.checks.checkpoint_check import check_checkpoint
from ftexp.checks.config_check import check_config
from ftexp.errors import UserError
from ftexp.quantization import is_quantized
from ftexp.spec import read_experiment
from ftexp.splits import read_items
from ftexp.torchtune_config import config_keys_of, value_in_config
from ftexp.yamlfile import load_yaml

Config = dict[str, Any]
Errors = dict[str, list[str]]


def check_runs(runs: list[dict[str, Any]], errors: Errors) -> list[dict[str, Any]]:
    """Run every check, adding messages to `errors` by run; return one rendered example per distinct prompt."""
    configs = {run["run"]: _read_config(run) for run in runs if run["kind"] == "trained"}
    for run in runs:
        if run["kind"] == "trained":
            config = configs[run["run"]]
            of_config = [f"finetune.yaml: {message}" for message in check_config(config, run["settings"]["recipe"])]
            errors[run["run"]] += [*of_config, *check_read_back(run, config), *check_files(config)]
    _check_checkpoints(configs, errors)
    trained = [run for run in runs if run["kind"] == "trained"]
    for name, message in [*check_differences(trained, configs), *check_distinct(trained, configs)]:
        errors[name].append(message)
    return _check_tokens(runs, errors)


def _read_config(run: dict[str, Any]) -> Config:
    """finetune.yaml, `${...}` in place. OmegaConf, ten times as slow, would read the same (a test)."""
    path = paths.RunPaths(run["run"]).finetune_yaml
    config: Config = load_yaml(path, str(path))
    return config


def check_read_back(run: dict[str, Any], config: Config) -> list[str]:
    """Every setting that is a factor, a constant or derived stands in the config, and equals what was declared."""
    messages = []
    resolved = config
    for name, wanted in _declared(run).items():
        for key, expected in config_keys_of(run, name, wanted).items():
            if resolved is config and "${" in str(value_in_config(config, key)):
                resolved = _resolved(config)
            found = value_in_config(resolved, key)
            if found != expected and not (found is None and expected is False):  # a switch that is not there is off
                messages.append(f"finetune.yaml: {key}: is {found!r}, but {name} was declared as {expected!r}")
    return messages


def _resolved(config: Config) -> Config:
    """With every `${...}` replaced, twice, as torchtune's `instantiate` does."""
    once = OmegaConf.to_container(OmegaConf.create(config), resolve=True)
    plain: Any = OmegaConf.to_container(OmegaConf.create(once), resolve=True)
    return dict(plain)


def _declared(run: dict[str, Any]) -> dict[str, Any]:
    """Everything of a run.yaml that training depends on, by the names that experiment.yaml gives it."""
    prompt = {f"prompt.{key}": value for key, value in run["prompt"].items()}
    columns = {f"data.{key}": run["data"][key] for key in ("input", "output")}
    return {**run["settings"], **prompt, **columns, "data.split": run["split"], **run["overrides"]}


def check_files(config: Config) -> list[str]:
    """The model's files and the training rows are there."""
    folder = Path(config["checkpointer"]["checkpoint_dir"])
    wanted = [folder / name for name in config["checkpointer"]["checkpoint_files"]] + [Path(config["dataset"]["file"])]
    return [f"{path}: there is no such file" for path in wanted if not path.is_file()]


def _check_checkpoints(configs: dict[str, Config], errors: Errors) -> None:
    """The base weights against the model that they are for, once per model and builder; not where the config is wrong already."""
    known: dict[str, list[str]] = {}
    for run, config in configs.items():
        if errors[run]:
            continue
        key = repr((config["checkpointer"]["checkpoint_dir"], config["model"]["_component_"]))
        if key not in known:
            known[key] = check_checkpoint(config)
        errors[run] += known[key]


def check_differences(runs: list[dict[str, Any]], configs: dict[str, Config]) -> list[tuple[str, str]]:
    """Any two runs differ in their declared factors, and what derives from them, only.

    Runs of one model and recipe, both with a quantised base or both without, are compared with the first of them; on these
    three, everything depends. Two runs that differ
    from the first only in allowed keys, each with the value that `check_read_back` found right, differ from each other
    only there too.
    """
    factors = read_experiment(paths.EXPERIMENT_YAML).factors
    firsts: dict[tuple[str, str, bool], dict[str, Any]] = {}
    messages = []
    for run in runs:
        settings = run["settings"]
        first = firsts.setdefault((settings["model"], settings["recipe"], is_quantized(settings)), run)
        varied = {
            name for factor, levels in factors.items() if first["levels"].get(factor) != run["levels"].get(factor)
            for level in levels for name in level.sets
        }
        ours, theirs = _flat(configs[run["run"]]), _flat(configs[first["run"]])
        differing = {key for key in {*ours, *theirs} if ours.get(key) != theirs.get(key)}
        for key in sorted(differing - _allowed_differences(first, run, varied)):
            what = f"differs from run {first['run']} ({ours.get(key)!r}, there {theirs.get(key)!r}), though no factor declares it"
            messages.append((run["run"], f"finetune.yaml: {key}: {what}"))
    return messages


def check_distinct(runs: list[dict[str, Any]], configs: dict[str, Config]) -> list[tuple[str, str]]:
    """No run is another one under a second name: a factor that reaches neither training nor evaluation changes nothing."""
    firsts: dict[str, dict[str, Any]] = {}
    messages = []
    for run in runs:
        config = {key: value for key, value in configs[run["run"]].items() if key != "output_dir"}
        first = firsts.setdefault(repr((_flat(config), run["prompt"], run["split"], run["evaluation"])), run)
        if first is not run:
            names = [name for name, level in run["levels"].items() if first["levels"].get(name) != level]
            what = f"trains and evaluates exactly what run {first['run']} does"
            messages.append((run["run"], f"experiment.yaml: factors.{', '.join(names)}: changes nothing here: it {what}"))
    return messages


def _allowed_differences(first: dict[str, Any], run: dict[str, Any], varied: set[str]) -> set[str]:
    """Keys that may differ: those of the settings that the two runs' levels set, and those that follow."""
    allowed = {"output_dir", "checkpointer.output_dir", "metric_logger.output_dir", "profiler.output_dir"}
    for name in varied | _derived_from(varied):
        allowed |= set(config_keys_of(run, name, None)) | set(config_keys_of(first, name, None))
    return allowed


def _derived_from(varied: set[str]) -> set[str]:
    """Settings that follow from others where nobody sets them."""
    derived = set()
    if "lora_rank" in varied:
        derived.add("lora_alpha")
    step_settings = {"epochs", "batch_size", "gradient_accumulation_steps", "train_size"}
    if varied & step_settings or any(name.startswith("data.") for name in varied):
        derived |= {"warmup_steps", "steps"}
    return derived


def _flat(config: Config, prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _check_tokens(runs: list[dict[str, Any]], errors: Errors) -> list[dict[str, Any]]:
    """The token check, once per distinct combination of model, prompt, data and limits."""
    examples: dict[str, dict[str, Any]] = {}
    cache: dict[str, list[str]] = {}
    for run in runs:
        settings = run["settings"]
        key = repr((settings["model"], run["prompt"], run["split"], settings["max_seq_len"], settings["loss"], run["kind"]))
        if key not in cache:
            try:
                cache[key], example = check_tokens(run)
            except UserError as error:
                cache[key], example = [str(error)], ""
            prompt_key = repr((settings["model"], run["prompt"], settings["loss"]))
            if example and run["kind"] == "trained":
                examples.setdefault(prompt_key, {"run": run["run"], "text": example})
        errors[run["run"]] += cache[key]
    return list(examples.values())


def check_tokens(run: dict[str, Any]) -> tuple[list[str], str]:
    """Training and evaluation make the same tokens of every row, and the answer ends where generation stops.

    The training side is the config's own data set and tokenizer; the evaluation side is what eval.py says, put
    through the provider's tokenizer.

    Returns:
        Messages, and one training example as text with the trained part marked.
    """
    model_dir = paths.model_dir(run["settings"]["model"])
    chat = Chat(model_dir, run["prompt"]["date"])
    items = read_items(paths.split_dir(run["split"]) / "test.jsonl")
    task = _task_arguments(run)
    messages = []
    for item in items:
        ours = render_messages(run["prompt"], run["data"]["input"], item["row"])
        theirs = render_messages({"system": task["system"], "user": task["user"]}, task["input_column"], item["row"])
        if chat.prompt_ids(ours) != chat.prompt_ids(theirs):
            messages.append(f"eval.py: item {item['item']}: its prompt has other tokens than training gives it")
            break
    messages += _check_answers(run, chat, items)
    if run["kind"] == "control":
        return messages, ""
    more, example = _check_training_rows(run, chat)
    return messages + more, example


def _task_arguments(run: dict[str, Any]) -> dict[str, Any]:
    """The literal keyword arguments in eval.py's source, read without running it."""
    tree = ast.parse(paths.RunPaths(run["run"]).eval_py.read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    pairs = itertools.chain.from_iterable(call.keywords for call in calls)
    return {pair.arg: pair.value.value for pair in pairs if pair.arg and isinstance(pair.value, ast.Constant)}


def _check_answers(run: dict[str, Any], chat: Chat, items: list[dict[str, Any]]) -> list[str]:
    """Every reference answer fits into max_tokens with its end token."""
    most = run["evaluation"]["max_tokens"]
    longest = max(len(chat.answer_ids(_messages(run, item), str(item["row"][run["data"]["output"]]))) for item in items)
    if longest > most:
        what = f"is {most}, but the longest reference answer has {longest} tokens with its end. Raise it"
        return [f"experiment.yaml: evaluation.max_tokens: {what}"]
    return []


def _messages(run: dict[str, Any], item: dict[str, Any]) -> list[Message]:
    return render_messages(run["prompt"], run["data"]["input"], item["row"])


def _check_training_rows(run: dict[str, Any], chat: Chat) -> tuple[list[str], str]:
    """The config's own data set, row by row, against the tokens of evaluation."""
    from torchtune import config as torchtune_config

    config: Any = OmegaConf.load(paths.RunPaths(run["run"]).finetune_yaml)
    tokenizer = torchtune_config.instantiate(config.tokenizer)
    dataset = torchtune_config.instantiate(config.dataset, tokenizer)
    items = read_items(Path(config.dataset.file))
    for position in range(len(dataset)):
        row, item = dataset[position], items[dataset.order[position]]
        if len(row["tokens"]) > config.model.max_seq_len:
            what = f"has {len(row['tokens'])} tokens, and the model takes {config.model.max_seq_len}. Shorten or remove it"
            return [f"{config.dataset.file}: item {item['item']}: {what}"], ""
        prompt = chat.prompt_ids(_messages(run, item))
        if row["tokens"][: len(prompt)] != prompt:
            return [f"finetune.yaml: dataset: item {item['item']}: its tokens do not begin with those of evaluation"], ""
        if row["tokens"][-1] not in chat.stop_ids or row["labels"][-1] != row["tokens"][-1]:
            return [f"finetune.yaml: dataset: item {item['item']}: the token at which generation stops is not trained"], ""
    return [], _marked(chat, dataset[0])


def _marked(chat: Chat, row: dict[str, list[int]]) -> str:
    """Text of a training row, `⟦` and `⟧` around what is trained."""
    first = next(i for i, label in enumerate(row["labels"]) if label >= 0)
    return f"{chat.render(row['tokens'][:first])}⟦{chat.render(row['tokens'][first:])}⟧"
