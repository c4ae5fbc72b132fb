"""Effects: what each factor did, with honest uncertainty. A pure function of two tables: no files, no models.

`effects(scores, runs, analysis)` reads

- `scores`, one row per run, item and repetition: run; task; metric; item (the hash of the raw row); cluster (a passage, a
  respondent; the item where there is none); epoch (which repetition); score (a number; not used for the metrics in
  `Analysis.custom`, which read target and prediction instead); one column `group:<name>` per group, constant per item.
- `runs`, one row per planned run: run; kind (`trained` or `control`); control (id of its control, or empty); seed; one
  column per factor; optionally eval_status (scores of a run that is not `done` are not counted), status and reason.

and returns one row per contrast and scope, with the columns that `ftexp.effects.columns` explains. A row is empty (no number
at all) where the contrast is impossible, or, in `recipe`, where no cell has two seeds. Formulas and their sources:
`variances`, `intervals`. Coverage: `benchmarks/effects.md`.

`table` does all of it: `measurements` and `cells` from the two tables (`errors` where they contradict each other), in the
terms of `analysis`; `contrasts` of the cells; `estimates` of them, by `bootstrap` where a metric is no mean; `rows` with
`remarks`, corrected within `families`; `columns` explains them. `sensitivity` says which differences would be seen, `means`
gives runs alone; `arrays` names the types of arrays. `metrics` turns the `sums` of what rows add to a metric into values and
influences: means and ratios; `label_metrics`, `number_metrics`, `probability_metrics` and `text_metrics` are the others.

May import: nothing of the project but itself.
Must not import: anything else of it, `ground` included.
"""

from ftexp.effects.analysis import Analysis
from ftexp.effects.families import leading_rows
from ftexp.effects.means import means
from ftexp.effects.rows import COLUMNS
from ftexp.effects.sensitivity import Spread, detectable, power, spread_from_effects, spread_from_means
from ftexp.effects.table import effects

__all__ = [
    "COLUMNS", "Analysis", "Spread", "detectable", "effects", "leading_rows", "means", "power", "spread_from_effects",
    "spread_from_means",
]
