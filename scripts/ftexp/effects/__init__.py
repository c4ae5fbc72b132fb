"""Effects: what each factor did, with honest uncertainty. A pure function of two tables: no files, no models.

`effects(scores, runs, analysis)` reads

- `scores`, one row per run, item and repetition: run; task; metric; item (the hash of the raw row); cluster (a passage, a
  respondent; the item where there is none); epoch (which repetition); score (a number; not used for the metrics in
  `Analysis.custom`, which read target and prediction instead); one column per group column, constant per item.
- `runs`, one row per planned run: run; kind (`trained` or `control`); control (id of its control, or empty); seed; one
  column per factor; optionally eval_status (scores of a run that is not `done` are not counted), status and reason.

and returns one row per contrast and scope:

| column | meaning | unit, range | empty when |
|---|---|---|---|
| family | `confirmatory: ` (metric is `primary`) or `exploratory: `, then task, metric, kind | text | never |
| kind | `level`: level minus baseline, other factors at theirs. `main`: the same averaged over the cells of the other
  factors. `interaction`: difference of differences. `trend`: slope of a numeric factor. `control`: a cell minus its
  control. `average`: the average of the cells minus their controls. Each also as `<kind> within <group column>` | | never |
| scope | `models`: these very runs, new items. `recipe`: new items and new seeds | | never |
| factor | the factor; `A x B` of an interaction | text | of `control` and `average` |
| level, reference | what minus what; of a trend `per doubling` or `per unit`; within a group ` | column=value` at the end
  | text | reference: of a trend |
| task, metric | | text | never |
| estimate | weighted sum of run means | the metric's; a trend's per doubling or unit | row empty |
| se_items | square root of V_item | as estimate, >= 0 | row empty |
| se_seeds | square root of V_seed | as estimate, >= 0 | row empty, or scope `models` |
| se | square root of V; in `models` se_items | as estimate, >= 0 | row empty |
| df | degrees of freedom: clusters - 1 (Welch where unpaired), or Satterthwaite's | > 0 | no interval |
| low, high | interval of 1 - alpha; centred on the estimate, or nearer to 0 where pseudo-items were added | as estimate
  | no interval |
| p | two-sided t test of 0; below alpha exactly where the interval excludes 0 | [0, 1] | no interval |
| p_holm | p after Holm within family and scope | [0, 1] | no interval |
| n_items, n_clusters | of the test set; summed over test sets where unpaired | count | contrast impossible |
| n_seeds | fewest finished seeds in a cell of the contrast | count | contrast impossible |
| n_strata | combinations of the other factors averaged over; of `average` the cells | count | never |
| method | words joined by `; `: `paired` or `unpaired`; `items`, `clusters` or `bootstrap of ...`; `pseudo-items`;
  `seeds pooled within cells` or `per-seed means` | text | row empty |
| flags | `ceiling` (a mean in the outer 5 % of the range), `scale-dependent` (an interaction so flagged), `unpaired`,
  `incomplete`, joined by `; ` | text | nothing to beware |
| reason | why numbers are empty; which runs are missing | text | nothing to say |

A row is empty (no number at all) where the contrast is impossible, or, in `recipe`, where no cell has two seeds. Formulas
and their sources: `variances`, `intervals`. Coverage: `benchmarks/effects.md`.
"""

from ftexp.effects.analysis import Analysis
from ftexp.effects.means import means
from ftexp.effects.rows import COLUMNS
from ftexp.effects.sensitivity import Spread, detectable, power, spread_from_effects, spread_from_means
from ftexp.effects.table import effects

__all__ = [
    "COLUMNS", "Analysis", "Spread", "detectable", "effects", "means", "power", "spread_from_effects", "spread_from_means",
]
