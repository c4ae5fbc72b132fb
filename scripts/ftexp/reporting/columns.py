"""The columns of the tables that `make report` writes, in words: docs/tables.md, and the last section of the report.

Command: PYTHONPATH=scripts python -m ftexp.reporting.columns > docs/tables.md
"""

from collections.abc import Iterable, Sequence

from ftexp.effects.columns import COLUMN_MEANINGS as EFFECTS
from ftexp.ground.text_table import markdown_table

HEADER = ("column", "meaning", "unit, range", "empty when")
RESULTS = (
    ("run", "id of the run; its folder in runs/", "text", "never"),
    ("kind", "`trained`, or `control`: a base model as it is, or an existing checkpoint", "", "never"),
    ("<factor>", "one column per factor: the run's level", "the factor's", "of a control that the factor does not concern"),
    ("train_status", "where its training stands", "a status", "of a control"),
    ("eval_status", "where its evaluation by this task stands", "a status", "it is not asked the task"),
    ("reason", "why a stage is not done, or a number is missing", "text", "nothing to say"),
    ("task", "the evaluation's task", "text", "never"),
    ("metric", "the name of a scorer, or one of `evaluation.metrics`", "text", "never"),
    ("n", "items asked, however often each", "count", "not evaluated"),
    (
        "unscored", "of these how many could not be scored; they are in no number here, and reason says why", "count",
        "not evaluated",
    ),
    (
        "valid", "share of answers that are a label of the task, one of its options, or hold a number; any other answer "
        "is wrong",
        "0 to 1", "not evaluated, or any text will do",
    ),
    (
        "score", "the run's value by the metric: of a scorer the mean over the items (of sampled answers an item's score is "
        "the mean over its epochs), of perplexity over all tokens, of any other metric that of all answers together",
        "the metric's", "not evaluated, or not defined for these answers",
    ),
    (
        "score_se",
        "its standard error over items, or over clusters where `evaluation.cluster` is set; the luck of sampled answers is in "
        "it, nothing about seeds of training",
        ">= 0", "no score, or one cluster",
    ),
    (
        "majority", "what always giving the commonest answer of its test set would score by this metric", "as score",
        "not evaluated, or not known of this metric",
    ),
    (
        "chance", "what drawing blindly among the answers of its test set would score: 1 / their number", "0 to 1",
        "not evaluated, not known of this metric, or the answers are no choices (over 50 different ones, or fewer than 5 items "
        "each on average)",
    ),
    (
        "diff_control", "score minus its control's, on the items that both have a score of", "a difference of scores",
        "no score, or its control has none",
    ),
    (
        "diff_control_se", "its paired standard error; 0 where all items say the same, for which effects.csv has an interval",
        ">= 0", "as diff_control, or one cluster",
    ),
    ("train_loss", "mean over the steps of the last epoch", "nats per trained token", "not trained"),
)
KEPT = (
    (
        "validation", "where some run is validated: the kept step's value by `validation.metric`, on rows that are no test's; "
        "of the kept step, so better than new rows would show", "nats per trained token, or a scorer's",
        "not validated, or no number",
    ),
    ("kept_step", "where some run is validated: the optimiser step of which the checkpoint is, from 1", "count", "not validated"),
    ("kept_why", "where some run is validated: why that step, of how many looks, and where it stopped early", "text",
     "not validated"),
)
CELLS = (
    ("cell", "the levels of the factors in words, the seed aside; `control <run>` of a control", "text", "never"),
    ("kind", "`trained` or `control`", "", "never"),
    (
        "<factor>", "one column per factor but the seed: the cell's level", "the factor's",
        "of a control that the factor does not concern",
    ),
    ("task", "a task that the cell is asked", "text", "never"),
    ("metric", "as in results.csv", "text", "never"),
    ("n_seeds", "runs of the cell that have a score", "count", "never"),
    ("mean", "of their scores", "as score", "no run has a score"),
    ("sd", "standard deviation of their scores, n - 1 in the denominator", ">= 0", "fewer than two runs have a score"),
    ("min", "the least of them", "as score", "no run has a score"),
    ("max", "the largest of them", "as score", "no run has a score"),
    ("runs", "planned runs of the cell that are asked the task", "count", "never"),
    ("reason", "which runs have no score, and why", "text", "all have one"),
)
SELECTED = (
    (
        "<factor>", "one column per factor but the seed: of a factor that is chosen the level that was, of any other the cell's",
        "the factor's", "nothing is chosen",
    ),
    ("chosen_by", "`validation.metric`", "text", "never"),
    (
        "validation", "mean over the seeds of the kept steps' values by it; better than new rows would show, because it was "
        "chosen by it", "as in results.csv", "nothing is chosen",
    ),
    ("next_validation", "that of the next best candidate", "as in results.csv", "there is none with a value of every run"),
    ("candidates", "planned cells among which was chosen", "count", "never"),
    ("chosen_why", "ties and how they were decided; which candidates were not looked at, and why", "text", "nothing to say"),
    *CELLS[3:],
)
_JUDGED = (
    (
        "is_ended", "whether the model ended its answer by itself, and was not cut at `max_tokens`", "true, false",
        "of an inspect task",
    ),
    (
        "<scorer>", "one column per scorer but perplexity: what the answer is worth; of an inspect task its own scorers",
        "0 to 1, chrf 0 to 100, semscore -1 to 1", "it could not be scored",
    ),
    ("<scorer>:why", "why it could not be scored", "text", "it could"),
    ("<scorer>:says", "what a grader wrote, or a scorer of one's own gave as its explanation", "text", "it says nothing"),
    ("options", "of a task with `choices`, the options", "list of texts", "other tasks"),
    ("conditional", "the log-likelihood of each option after the prompt", "list, nats", "other tasks"),
    ("unconditional", "that of each option after nothing", "list, nats", "other tasks"),
    ("probability", "of the option that is chosen, after `evaluation.normalization`", "0 to 1", "other tasks"),
    ("probabilities", "of each option; they add up to 1", "list, 0 to 1", "other tasks"),
    ("number", "the first number in the answer, where a metric needs it", "a number", "the answer holds none"),
    (
        "nll", "negative log-likelihood of the reference after the prompt, or of a document, where a perplexity or bits per "
        "byte is asked; the item's own perplexity is exp(nll / tokens)", "nats", "not measured",
    ),
    ("tokens", "how many tokens that is of", "count", "not measured"),
    ("bytes", "how many bytes of UTF-8 that is of", "count", "not measured"),
)
ITEMS = (
    ("run", "id of the run", "text", "never"),
    ("task", "the evaluation's task", "text", "never"),
    ("item", "id of the item: a hash of its raw row, the same in every run that was asked it", "text", "never"),
    ("epoch", "1, and 2, 3, ... for further answers to the item where `evaluation.epochs` asks for them", "count", "never"),
    ("cluster", "value of the column `evaluation.cluster`; the item's id where none is named", "text", "never"),
    (
        "input", "what was asked, without the prompt around it; of a document its text, or the beginning that is completed",
        "text", "never",
    ),
    ("target", "the right answer", "text", "of a document"),
    ("completion", "what the model said, whole; of options the one that is chosen", "text", "of a document"),
    *_JUDGED,
    (
        "<group>", "one column per column of `evaluation.groups`; `group:<group>` where another is called so", "text",
        "other tasks",
    ),
)
SCORES = (
    *(row for row in ITEMS if row[0] in ("item", "epoch", "completion")),
    (
        "input, target", "of an inspect task only, as in items.parquet; those of other tasks are in their rows", "text",
        "other tasks",
    ),
    ("cut", "of a document that is completed, after how many of its characters", "count", "no column: other tasks"),
    *_JUDGED,
    (
        "<scorer>:again", "whether `make score` asks again, as a grader could not be reached", "true, false",
        "no column: none is asked again",
    ),
    (
        "bleu_match_1 to 4, bleu_total_1 to 4", "matching and all n-grams of the answer, where `bleu` is asked", "count",
        "not asked",
    ),
    ("bleu_length, bleu_reference_length", "tokens of answer and target", "count", "not asked"),
    (
        "chrf_answer_1 to 6, chrf_reference_1 to 6, chrf_match_1 to 6",
        "n-grams of characters of the answer, of the target, and in both, where `corpus_chrf` is asked", "count", "not asked",
    ),
)
TABLES = (
    (
        "results.csv", "A long table: exactly one row per run of runs.csv, task and metric.", 'pd.read_csv("results.csv")',
        (*RESULTS, *KEPT),
    ),
    (
        "cells.csv", "One row per cell (a combination of levels, seeds together), task and metric that the cell is asked.",
        'pd.read_csv("cells.csv")', CELLS,
    ),
    (
        "selected.csv", "Where `select` says that levels are chosen: one row per cell of the other factors, task and metric, of "
        "what was chosen on validation, with its test scores.", 'pd.read_csv("selected.csv")', SELECTED,
    ),
    (
        "effects.csv", "One row per contrast and scope: what each factor did. A row without numbers says why in `reason`.",
        'pd.read_csv("effects.csv")', EFFECTS,
    ),
    (
        "items.parquet",
        "One row per evaluated run, task, item and epoch: all answers with their scores. Kept by DVC, not in git.",
        'pd.read_parquet("items.parquet")', ITEMS,
    ),
    (
        "scores/<task>/<run>.parquet",
        "What `make score` keeps of one run in one task: a row an answer, in the task's order. Its metadata says of which logs, "
        "and by which scorers. What is there is not judged again.", 'pd.read_parquet("scores/<task>/<run>.parquet")', SCORES,
    ),
)
_INTRODUCTION = """\
# The tables of a report

Written by `PYTHONPATH=scripts python -m ftexp.reporting.columns > docs/tables.md`. `import pandas as pd`; then each is one call
to load. Whether the intervals cover the truth is told in [benchmarks/effects.md](../benchmarks/effects.md).

## How an effect is computed

An effect is a weighted sum of run values: +1 for a level and -1 for the baseline, in equal shares over the cells
(combinations of the other factors' levels) and over the seeds of a cell. What each item adds to a run's value, its influence,
is known for every metric: of a mean it is (score - mean) / items, of others the derivative (report.md). Item by item the
same weights give a difference; V_item is the variance of these differences over clusters (a cluster is an item, unless
`evaluation.cluster` names a column). V_seed is the sum over cells of the variance of the cell's run values from seed to seed
times their squared weights. In scope `models` the variance is V_item. In `recipe` it is V_item + V_seed - V_both, but never
less than V_item or V_seed: V_both is the noise of items that differs from seed to seed, which both hold. Intervals are t.
For shares of right answers two pseudo-items, one of the largest difference that an item can show and one of its opposite, are
added where fewer than 8 answers of the rarer kind speak for it: they widen the interval and move its centre a little towards 0.
Formulas with their sources: [report.md](report.md), `scripts/ftexp/effects/`.

Where answers are sampled (`evaluation: {temperature: ...}`), an item's score is the mean over its epochs, and what is said here
of items is said of these means: n counts items, not answers. The luck of the draw is noise within an item. It is part of V_item,
so that an interval covers it without a term of its own: it is over new items, each asked as often and with new random numbers.
More epochs make this part smaller (in proportion to 1 / epochs), and leave what differs between items as it is; only more items
reduce that. All runs draw an item's answers with the same random numbers, by seed, item and epoch. Their shares of luck are
thus not independent, which item-wise differences allow for, as they do for the items being the same. Another
`evaluation.seed` gives other answers, and another set of tables that is as good. Metrics that are no mean (macro_f1) are over all
answers together.
"""


def tables_of(columns: Iterable[str], *, has_choice: bool) -> list[tuple[str, str, str, Sequence[Sequence[str]]]]:
    """The tables of one report.

    Args:
        columns: Those of its results.csv.
        has_choice: Whether levels are chosen.
    """
    left_out = {row[0] for row in KEPT} - set(columns)
    return [
        (name, what, call, [row for row in rows if row[0] not in left_out])
        for name, what, call, rows in TABLES if has_choice or rows is not SELECTED
    ]


def tables_page() -> str:
    """The text of docs/tables.md."""
    return _INTRODUCTION + "".join(_section(*table) for table in TABLES)


def _section(name: str, what: str, call: str, columns: Sequence[Sequence[str]]) -> str:
    rows = [(f"`{row[0]}`", *row[1:]) for row in columns]
    return f"\n## {name}\n\n{what} `{call}`\n{markdown_table(HEADER, rows)}"


if __name__ == "__main__":
    print(tables_page(), end="")
