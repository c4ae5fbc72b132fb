"""The columns of effects.csv in words: name, meaning, unit or range, and when it is empty."""

COLUMN_MEANINGS = (
    (
        "family", "`confirmatory: ` (the metric is `evaluation.primary`) or `exploratory: `, then task, metric and kind", "text",
        "never",
    ),
    (
        "kind",
        "`level`: a level minus the baseline, the other factors at theirs (of a list of runs: a cell minus the baseline cell). "
        "`main`: the same averaged over the cells of the other factors that have both. `interaction`: difference of differences. "
        "`trend`: slope of a numeric factor. `control`: a cell minus its control. `average`: the average of cells minus their "
        "controls. Only a factorial has main, interaction, trend and average. Each also as `<kind> within <group column>`",
        "text", "never",
    ),
    ("scope", "`models`: these very runs, new items. `recipe`: new items and new seeds", "text", "never"),
    (
        "factor", "the factor; `A x B` of an interaction; `A, B` of a listed cell that differs from the baseline in both", "text",
        "of `control` and `average`",
    ),
    (
        "level", "what is compared; of a trend `per doubling` or `per unit`; within a group ` | column=value` stands at the end",
        "text", "never",
    ),
    ("reference", "what it is compared with", "text", "of a trend"),
    ("task", "the evaluation's task", "text", "never"),
    ("metric", "the scorer, or one of `evaluation.metrics`", "text", "never"),
    (
        "estimate", "weighted sum of run means, `level` minus `reference`", "the metric's; a trend's per doubling or unit",
        "row empty",
    ),
    ("se_items", "standard error from items: square root of V_item", "as estimate, >= 0", "row empty"),
    ("se_seeds", "standard error from seeds: square root of V_seed", "as estimate, >= 0", "row empty, or scope `models`"),
    ("se", "standard error of the estimate in its scope; in `models` it is se_items", "as estimate, >= 0", "row empty"),
    ("df", "degrees of freedom: clusters - 1 (Welch where unpaired), or Satterthwaite's", "> 0", "no interval"),
    (
        "low", "lower end of the 95 % interval, centred on the estimate, or nearer to 0 where pseudo-items were "
        "added; never past what the range of the metric allows",
        "as estimate", "no interval",
    ),
    ("high", "upper end of the interval", "as estimate", "no interval"),
    ("p", "two-sided t test of 0; below .05 exactly where the interval excludes 0", "0 to 1", "no interval"),
    ("p_holm", "p after Holm's correction within family and scope", "0 to 1", "no interval"),
    ("n_items", "items of the test set; summed over test sets where unpaired", "count", "contrast impossible"),
    ("n_clusters", "clusters of these items", "count", "contrast impossible"),
    ("n_seeds", "fewest finished seeds in a cell of the contrast", "count", "contrast impossible"),
    ("n_strata", "combinations of the other factors averaged over; of `average` the cells", "count", "never"),
    (
        "method",
        "words joined by `; `: `paired` or `unpaired`; `items`, `clusters` or `bootstrap of ...`; `pseudo-items`; `seeds pooled "
        "within cells` or `per-seed means`", "text", "row empty",
    ),
    (
        "flags",
        "words joined by `; `: `ceiling` (a mean in the outer 5 % of the range), `scale-dependent` (an interaction so flagged), "
        "`unpaired`, `incomplete`", "text", "nothing to beware",
    ),
    (
        "reason", "why numbers are empty; over what is averaged where the design excludes cells; which runs are missing", "text",
        "nothing to say",
    ),
)
