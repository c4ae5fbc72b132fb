"""The columns of effects.csv in words: name, meaning, unit or range, and when it is empty."""

COLUMN_MEANINGS = (
    (
        "family",
        "`confirmatory: ` (task and metric are those of `evaluation.primary`) or `exploratory: `, then task, metric and kind",
        "text", "never",
    ),
    (
        "kind",
        "`level`: a level minus the baseline, the other factors at theirs (of a list of runs: a cell minus the baseline cell). "
        "`main`: the same averaged over the cells of the other factors that have both. `interaction`: difference of differences. "
        "`trend`: slope of a numeric factor. `control`: a cell minus its control. `average`: the average of cells minus their "
        "controls. Only a factorial has main, interaction, trend and average. Of a difference between measures also `cell` and "
        "`cells`: its size in each cell, and averaged over them. `control against <name>` and `average against <name>`: with an "
        "existing checkpoint in the control's place. Each also as `<kind> within <group column>`",
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
    ("task", "the evaluation's task; `b minus a` of a difference between two", "text", "never"),
    ("metric", "the scorer, or one of `evaluation.metrics`; `b minus a` of a difference between two", "text", "never"),
    (
        "estimate", "weighted sum of run values, `level` minus `reference`", "the metric's; a trend's per doubling or unit",
        "row empty",
    ),
    ("se_items", "standard error from items: square root of V_item", "as estimate, >= 0", "row empty"),
    ("se_seeds", "standard error from seeds: square root of V_seed", "as estimate, >= 0", "row empty, or scope `models`"),
    ("se", "standard error of the estimate in its scope; in `models` it is se_items", "as estimate, >= 0", "row empty"),
    (
        "df", "degrees of freedom: of items Bell and McCaffrey's (clusters - 1 where these are of equal size; Welch where "
        "unpaired); with seeds by each cell's share in the variance (docs/report.md)", "> 0", "no interval",
    ),
    (
        "low", "lower end of the 95 % interval, centred on the estimate, or nearer to 0 where pseudo-items were "
        "added; never past what the range of the metric allows",
        "as estimate", "no interval",
    ),
    ("high", "upper end of the interval", "as estimate", "no interval"),
    ("p", "two-sided t test of 0; below .05 exactly where the interval excludes 0", "0 to 1", "no interval"),
    ("p_holm", "p after Holm's correction within family and scope", "0 to 1", "no interval"),
    ("n_items", "items of the test sets that all runs have a score of", "count", "contrast impossible"),
    ("n_clusters", "clusters of these items", "count", "contrast impossible"),
    ("n_missing", "items left out because some run has no score of them", "count", "contrast impossible"),
    ("n_seeds", "fewest finished seeds in a cell of the contrast", "count", "contrast impossible"),
    ("n_strata", "combinations of the other factors averaged over; of `average` the cells", "count", "never"),
    (
        "method",
        "words joined by `; `: `paired`, `paired within test sets`, `partly paired` (test sets that share items or clusters) or "
        "`unpaired`; `items` or `clusters`; `pseudo-items`; "
        "`seeds of each cell` or `per-seed means`", "text", "row empty",
    ),
    (
        "flags",
        "words joined by `; `: `ceiling` (a value in the outer 5 % of the range), `scale-dependent` (an interaction so flagged), "
        "`unpaired`, `incomplete`, `missing scores` (of more than 5 % of the items), `curved` (a bootstrap's standard error from "
        "items differs by a third), `biased` (resamples shift the estimate by over a third of its standard error), "
        "`chosen` (a factor whose level was chosen by its score: no interval), `all levels` (averaged over every level of such a "
        "factor, not over the chosen one alone)", "text",
        "nothing to beware",
    ),
    (
        "reason", "why numbers are empty; over what is averaged where the design excludes cells; how many items are left out; "
        "which runs are missing", "text", "nothing to say",
    ),
    (
        "more_seeds", "where few seeds of a cell make the interval wide: which, and what one more seed would bring, were the "
        "variances as seen", "text", "scope `models`, or seeds carry the interval",
    ),
)
