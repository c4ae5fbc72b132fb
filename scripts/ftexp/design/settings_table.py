"""The one table of what may stand in experiment.yaml, as Markdown: docs/settings.md.

Command: PYTHONPATH=scripts python -m ftexp.design.settings_table > docs/settings.md
"""

import json
from typing import Any

from ftexp.data.splits import DEFAULT_SPLIT
from ftexp.design.judging import METRICS, NORMALIZATIONS, SCORERS, ScorerKind
from ftexp.design.settings import SETTINGS
from ftexp.design.torchtune_keys import OLDER_NAMES, OWNED_KEYS, OWNED_SECTIONS, TORCHTUNE_TOP_LEVEL
from ftexp.ground.text_table import markdown_table

_INTRODUCTION = """\
# What may stand in experiment.yaml

Written by `PYTHONPATH=scripts python -m ftexp.design.settings_table > docs/settings.md` from the code that checks the file.
Any other key, at any depth, is an error that names the nearest valid one. Where a list is wanted, one thing may stand alone:
`lr: 1e-4` is `lr: [1e-4]`, `metrics: macro_f1` is `metrics: [macro_f1]`.

## Sections
"""
_SHORT_NAMES = """
## Short names

As a factor (`lr: [1e-4, 1e-3]`), in a named level (`{small: {lora_rank: 2}}`) or as a constant. The letters of `in an id`
stand before the level in a run's id (`r16_lr3e-3_s1`); `naming: {lora_rank: rank}` sets others.
"""
_TASKS = """
## Tasks

`tasks: {test: {}, italian: {data: data/raw/it.csv, output: gender}}`. A task may also have each of `max_tokens`, `temperature`,
`top_p`, `seed`, `epochs`, `scorers`, `metrics`, `normalization`, `cluster` and `groups` for itself.

"""
_SCORERS = """
## Scorers

By name, or with options: `scorers: [exact, {match: '[0-9]+'}, {semscore: {model: all-mpnet-base-v2}}, judged.py@tone]`. The last
is one's own: a scorer of inspect-ai, the function `tone` in a file of the experiment. The option `name` gives any of them
another name in the tables. What asks a model, and what is one's own, `make score` judges; the others `make report` too.

"""
_METRICS = """
## Metrics

Of `labels`: the output column holds a few answers that come again and again, an answer that is none of them is wrong. Of
`numbers`: the first number in the answer, and that of the output column. Of `probabilities`: of the options of a task with
`choices`. Of `texts`: all answers and references together. Of `references`: their log-likelihood.

"""
_TORCHTUNE = """
## torchtune's own keys

Besides the short names: {top}, and any dotted key that exists in the config that torchtune ships for the recipe and the
model, or that is a parameter of its component (`optimizer.eps`). `null` removes the key. {older} are taken too, each
where its short name is not set. These follow from other facts and are refused: {owned}, and everything in {sections}.
"""


def _scorer(kind: ScorerKind) -> str:
    """What a scorer says, with its options."""
    given = [f"`{name}`" for name, default in kind.options.items() if default is ...]
    given += [f"`{name}` (default: {json.dumps(default)})" for name, default in kind.options.items() if default is not ...]
    return kind.meaning + (f". Options: {', '.join(given)}" if given else "")


# Per key of experiment.yaml what it must be, and what it means.
_KEYS: dict[str, tuple[str, str]] = {
    "experiment": ("a name", "name of the experiment"),
    "question": (
        "a sentence, or null",
        "what the experiment asks; null, the default: a sentence made of the factors, as `make plan` says it",
    ),
    "recipe": ("a recipe of torchtune", f"default: {SETTINGS['recipe'].default}"),
    "data.source": ("a file", "json, jsonl, csv or parquet, split by seed; or one JSON {train: [...], test: [...]}"),
    "data.train": ("a file", "with data.test instead of data.source: sources that are different already"),
    "data.test": ("a file", "see data.train"),
    "data.validation": (
        "a file, or a share above 0 and below 1",
        "rows to validate by, with `validation` below: a file's, or so many of the training rows. Default: a source's own part "
        "`validation`, else a twentieth of the training rows",
    ),
    "data.split.train": ("a share", f"default: {DEFAULT_SPLIT['train']}; the shares add up to 1"),
    "data.split.test": ("a share", f"default: {DEFAULT_SPLIT['test']}"),
    "data.split.seed": ("a whole number", f"default: {DEFAULT_SPLIT['seed']}; not the seed of a run"),
    "data.split.validation": (
        "a share", "default: 0. Of all rows those that validate, with `validation` below; the three shares add up to 1",
    ),
    "data.split.stratify": ("a column", "its values have the same shares in every part; not together with group"),
    "data.split.group": ("a column", "rows with the same value stay in one part; wise for evaluation.cluster's column"),
    "data.input": ("a column", "default: input; of conversations the same column as data.output"),
    "data.output": ("a column", "default: output"),
    "data.text": (
        "a column", "default: none. Whole documents in place of input and output: trained without a template, from BOS (or else "
        "the end token) to the end token, every token of them. There is no prompt and no `loss` then, and a task that says "
        "nothing else is of documents",
    ),
    "prompt.system": ("a text, or null", "default: null, no turn of ours; where a template puts its own, validate says so"),
    "prompt.user": ("a text with {column}", "default: {input}, the column that data.input names; {{ and }} stand for braces"),
    "prompt.date": ("a date", "default: 2026-01-01; what a template that prints today's date gets"),
    "prompt.template": (
        "a file that ends in .jinja, or null", "default: null, the model's own chat template. One of one's own is a file of the "
        "experiment, written as transformers' are; training and evaluation take it alike",
    ),
    "factors": ("a mapping", "per factor a list of levels, or for a factor with a name of its own a mapping of named levels; "
                "`all` is every value of a setting that has few: `schedule: all`"),
    "design": (
        "factorial, one_at_a_time or a list of mappings",
        "default: factorial, every combination of levels. one_at_a_time: the baseline cell, and each other level of each factor "
        "with the rest at the baseline. A list names the runs, `[{lora_rank: 16, lr: 1e-3}, ...]`: a factor that an entry leaves "
        "out is at its baseline. Each cell is run with all seeds, unless an entry names one. Every level must come in some run",
    ),
    "baseline": (
        "a mapping", "per factor the level that the others are compared with; default: its first. No run of a factorial depends "
        "on it",
    ),
    "exclude": (
        "a list of mappings",
        "default: none. Combinations that are not run: those with all levels of an entry, `[{model: large, lora_rank: 64}]`. An "
        "entry that no run matches is an error. A control that no run needs is left out too",
    ),
    "constants": ("a mapping", "short names and torchtune's keys, the same for all runs"),
    "controls.base": ("true or false", "default: true, one untuned run per distinct model, prompt and test set"),
    "controls.others": (
        "a mapping of names to folders", "default: none. Existing checkpoints that are asked the same: a whole model in models/ "
        "(`models/NAME`), or the folder of an adapter that names its base model. Each cell is compared with them too",
    ),
    "evaluation.tasks": (
        "a mapping of names to tasks", "default: {test: {}}, the test rows of the data. What a task may have of its own: below",
    ),
    "evaluation.matrix": (
        "a list of {runs: ..., tasks: [...]}",
        "default: every run is asked every task. A run whose levels match entries (`{corpus: A}`, or `{corpus: [A, B]}`) is "
        "asked their tasks only; one that matches none is asked all. A control is asked all that its runs are. `all` stands for "
        "every run (`runs: all`), every level of a factor, every task",
    ),
    "evaluation.primary": (
        "task/metric, or a metric", "default: the first task by its first scorer. Its effects are confirmatory, all others "
        "exploratory",
    ),
    "evaluation.scorers": (
        "a list of scorers", "default: [exact]. What each answer is worth, see below. `scorer: exact` is short for one. No run's "
        "answers depend on this key or on the next four",
    ),
    "evaluation.metrics": (
        "a list of metrics", "default: none. What all answers say together, beside the scorers' means, see below",
    ),
    "evaluation.normalization": (
        " or ".join(NORMALIZATIONS),
        "default: none. What the log-likelihood of an option is divided by, characters or UTF-8 bytes; unconditional: less its "
        "log-likelihood without the prompt (as lm-evaluation-harness' acc, acc_norm, acc_bytes and acc_mutual_info)",
    ),
    "evaluation.cluster": (
        "a column",
        "default: null. Items with the same value (a passage, a respondent) are not independent, and count as one draw",
    ),
    "evaluation.groups": (
        "a list of columns", "default: none. Every effect again within each value of the column, of which there may be 50",
    ),
    "evaluation.max_tokens": ("a whole number", "default: 64; the longest answer that is read, end token included"),
    "evaluation.temperature": (
        "0, or a number from 0.01 to 100",
        "default: 0, greedy answers. Above 0 tokens are drawn, in the controls too: by random numbers that follow from seed, "
        "item and epoch; an evaluation done again says the same",
    ),
    "evaluation.top_p": (
        "a number above 0, at most 1", "default: 1. Tokens are drawn from the fewest that have this share of the probability",
    ),
    "evaluation.seed": ("a whole number", "default: 0; of the drawn tokens, and not the seed of a run"),
    "evaluation.epochs": (
        "a whole number",
        "default: 1, one answer an item. With several an item's score is their mean. Of greedy answers this key, the one before "
        "and top_p would change nothing, which is an error",
    ),
    "validation": ("a mapping", "default: none, nothing is looked at; `{}` for these defaults, by transformers: validation.md"),
    "validation.every": ("a whole number, or a share of 1", "default: 1. Epochs between two looks, or a share of one"),
    "validation.metric": (
        "loss, or a scorer by its name", "default: loss, of which less is better. A scorer compares what the model says to "
        "the rows, of which more is: any but those that ask a model, and one's own",
    ),
    "validation.patience": ("a whole number, or null", "default: null, no early stop. Looks without a better one till it ends"),
    "validation.threshold": ("a number, 0 or above", "default: 0.0. By how much a look must be better than the best before it"),
    "validation.keep": (
        "best or last", "default: best. Which step is kept, and evaluated; a level may set any of these keys: "
        "`{often: {validation.every: 0.5}}`",
    ),
    "select": ("a mapping", "default: none. Factors whose levels are chosen, and not compared. See validation.md"),
    "select.by": ("validation", "default: validation. By the kept steps' values, on average over the seeds"),
    "select.over": ("a list of factors, or all", "in each cell of the others their best combination: selected.csv"),
    "naming": ("a mapping", "per factor the abbreviation that stands before its level in an id"),
}

# Per key of a task what it must be, and what it means; the others are those of the section, for this task.
_TASK_KEYS: dict[str, tuple[str, str]] = {
    "data": (
        "a file", "rows of its own, which no run trains on: those that one does are left out. Without it: the data's test rows",
    ),
    "input": ("a column of data", "default: the run's data.input"),
    "output": ("a column of data", "default: the run's data.output"),
    "prompt.system": ("a text, or null", "default: the run's"),
    "prompt.user": ("a text with {column}", "default: the run's"),
    "prompt.date": ("a date", "default: the run's"),
    "choices": (
        "a list of texts, or a column", "the options, one of which is the output. Nothing is generated: the answer is the option "
        "of the highest log-likelihood. A column holds a list of texts a row, in a CSV one in JSON",
    ),
    "document": (
        "a column of data", "a text whose log-likelihood is measured as it stands, without a prompt; for perplexity, "
        "item_perplexity and bits_per_byte. Default where all data are documents: data.text",
    ),
    "complete": (
        "{after: {UNIT: NUMBER}}", "the model is given the beginning of each document (of data.text, or of the column that "
        "document names) and says the rest, which is the reference. The unit: sentences, words or tokens; the number: how many "
        "of them, or a share of them, which has a decimal point (0.5). Default scorer: rouge_l",
    ),
    "inspect": (
        "file.py@function, package/task or module@function",
        "a task of inspect-ai, of a file of the experiment or of an installed package. Its scores are its own scorers'",
    ),
    "args": ("a mapping", "what the function of an inspect task is called with"),
}


def settings_table() -> str:
    """The text of docs/settings.md."""
    owned = ", ".join(f"`{key}` (set `{name}`)" for key, name in OWNED_KEYS.items())
    metrics = [(f"`{name}`", kind.needs, kind.meaning) for name, kind in METRICS.items()]
    short = [
        (f"`{name}`", f"`{setting.abbreviation}`" if setting.abbreviation else "", setting.wants, _default(name), setting.meaning)
        for name, setting in SETTINGS.items()
    ]
    return (
        _INTRODUCTION + markdown_table(("key", "must be", "meaning"), [(f"`{key}`", *words) for key, words in _KEYS.items()])
        + _TASKS + markdown_table(("of a task", "must be", "meaning"), [(f"`{key}`", *row) for key, row in _TASK_KEYS.items()])
        + _SCORERS + markdown_table(("scorer", "of an answer"), [(f"`{name}`", _scorer(kind)) for name, kind in SCORERS.items()])
        + _METRICS + markdown_table(("metric", "of", "what"), metrics)
        + _SHORT_NAMES + markdown_table(("short name", "in an id", "must be", "default", "meaning"), short)
        + _TORCHTUNE.format(
            top=", ".join(f"`{key}`" for key in TORCHTUNE_TOP_LEVEL), owned=owned,
            older=", ".join(f"`{key}`" for key in OLDER_NAMES),
            sections=", ".join(f"`{section}`" for section in OWNED_SECTIONS),
        )
    )


def documented_keys() -> list[str]:
    """The keys of experiment.yaml that the table documents, dotted."""
    return list(_KEYS)


def _default(name: str) -> str:
    default: Any = SETTINGS[name].default
    if name == "model":
        return "none: must be given"
    if default is None:
        return "derived" if "derived" in SETTINGS[name].meaning else "null"
    return f"`{default if isinstance(default, str) else json.dumps(default)}`"


if __name__ == "__main__":
    print(settings_table(), end="")
