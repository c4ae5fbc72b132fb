"""The columns of the tables that `make report` writes, in words: docs/tables.md, and the last section of the report.

Command: PYTHONPATH=scripts python -m ftexp.reporting.columns > docs/tables.md
"""

from collections.abc import Sequence

from ftexp.effects.columns import COLUMN_MEANINGS as EFFECTS
from ftexp.ground.text_table import markdown_table

HEADER = ("column", "meaning", "unit, range", "empty when")
RESULTS = (
    ("run", "id of the run; its folder in runs/", "text", "never"),
    ("kind", "`trained`, or `control`: a base model, not fine-tuned", "", "never"),
    ("<factor>", "one column per factor: the run's level", "the factor's", "of a control that the factor does not concern"),
    ("train_status", "where its training stands", "a status", "of a control"),
    ("eval_status", "where its evaluation stands", "a status", "never"),
    ("reason", "why a stage is not done, or a number is missing", "text", "nothing to say"),
    ("task", "the evaluation's task", "text", "never"),
    ("metric", "the scorer", "text", "never"),
    ("n", "test items, however often each is asked", "count", "not evaluated"),
    ("score", "mean over the items; of sampled answers an item's score is the mean over its epochs", "0 to 1", "not evaluated"),
    (
        "score_se",
        "its standard error over items, or over clusters where `evaluation.cluster` is set; the luck of sampled answers is in "
        "it, nothing about seeds of training",
        ">= 0", "not evaluated, or one cluster",
    ),
    (
        "majority", "what always giving the commonest answer of its test set would score: that answer's share",
        "0 to 1", "not evaluated",
    ),
    (
        "chance", "what drawing blindly among the answers of its test set would score: 1 / their number", "0 to 1",
        "not evaluated, or the answers are no choices (over 50 different ones, or fewer than 5 items each on average)",
    ),
    ("diff_control", "mean over items of run minus its control, item by item", "-1 to 1", "not evaluated, or its control is not"),
    (
        "diff_control_se", "its paired standard error; 0 where all items say the same, for which effects.csv has an interval",
        ">= 0", "as diff_control, or one cluster",
    ),
    ("train_loss", "mean over the steps of the last epoch", "nats per trained token", "not trained"),
)
ITEMS = (
    ("run", "id of the run", "text", "never"),
    ("task", "the evaluation's task", "text", "never"),
    ("item", "id of the item: a hash of its raw row, the same in every run that was asked it", "text", "never"),
    ("epoch", "1, and 2, 3, ... for further answers to the item where `evaluation.epochs` asks for them", "count", "never"),
    ("cluster", "value of the column `evaluation.cluster`; the item's id where none is named", "text", "never"),
    ("target", "the right answer", "text", "never"),
    ("completion", "what the model said, whole", "text", "never"),
    ("score", "the scorer's verdict on it", "0 to 1", "never"),
)
TABLES = (
    ("results.csv", "One row per run of runs.csv.", 'pd.read_csv("results.csv")', RESULTS),
    (
        "effects.csv", "One row per contrast and scope: what each factor did. A row without numbers says why in `reason`.",
        'pd.read_csv("effects.csv")', EFFECTS,
    ),
    (
        "items.parquet", "One row per evaluated run, test item and epoch. Kept by DVC, not in git.",
        'pd.read_parquet("items.parquet")', ITEMS,
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


def tables_page() -> str:
    """The text of docs/tables.md."""
    return _INTRODUCTION + "".join(_section(*table) for table in TABLES)


def _section(name: str, what: str, call: str, columns: Sequence[Sequence[str]]) -> str:
    rows = [(f"`{row[0]}`", *row[1:]) for row in columns]
    return f"\n## {name}\n\n{what} `{call}`\n{markdown_table(HEADER, rows)}"


if __name__ == "__main__":
    print(tables_page(), end="")
