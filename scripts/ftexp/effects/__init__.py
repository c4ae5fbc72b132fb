"""Effects: what each factor did, with honest uncertainty. A pure function of two tables: no files, no models.

`effects(scores, runs, analysis)` reads

- `scores`, one row per run, item and repetition: run; task; metric; item (the hash of the raw row); cluster (a passage, a
  respondent; the item where there is none); epoch (which repetition); the columns that the metric reads, of a mean `score` (a
  number; empty where the item was asked but could not be scored); one column `group:<name>` per group, constant per item.
- `runs`, one row per planned run: run; kind (`trained` or `control`); control (id of its control, or empty); seed; one
  column per factor; optionally eval_status (scores of a run that is not `done` are not counted), status and reason; one column
  `control:<name>` per other control, as control.

and returns one row per contrast and scope, with the columns that `ftexp.effects.columns` explains. A row is empty (no number
at all) where the contrast is impossible, or, in `recipe`, where no cell has two seeds. Formulas and their sources: `metrics`,
`item_variance`, `seed_variance`, `variances`, `intervals`. Coverage: `benchmarks/effects.md`.

`table` does all of it, in the terms of `analysis`: `measurements` (of `values` within `limits`) and `cells` from the two tables
(`errors` where they contradict each other, or `checks` find names that stand for nothing); `metrics` (`label_metrics`,
`text_metrics`, `number_metrics`, `ratio_metrics`, `probability_metrics`, `option_metrics`, with `sums`) say what each row adds to
a run's value; `contrasts` of the cells; `samples` computes them, with `estimates` on the items that all runs have, and checks
them by a bootstrap; `rows` with `remarks` and `more_seeds`, corrected within `families`; `columns` explains them. `sensitivity`
says which differences would be seen, by the `spreads` of a finished experiment or by expected ones; `means` and `run_table` give
runs alone, `level_means` a factor's levels by task; `arrays` names the types of arrays.

May import: nothing of the project but itself.
Must not import: anything else of it, `ground` included.
"""

from ftexp.effects.analysis import Analysis, Difference, Measure
from ftexp.effects.families import leading_rows
from ftexp.effects.level_means import level_means
from ftexp.effects.means import means
from ftexp.effects.rows import COLUMNS
from ftexp.effects.run_table import run_table
from ftexp.effects.sensitivity import Spread, detectable, power, spread_from_means
from ftexp.effects.spreads import Seen, spreads
from ftexp.effects.table import effects

__all__ = [
    "COLUMNS", "Analysis", "Difference", "Measure", "Seen", "Spread", "detectable", "effects", "leading_rows", "level_means",
    "means", "power", "run_table", "spread_from_means", "spreads",
]
