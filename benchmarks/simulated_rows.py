"""The designs that benchmarks/effects.md simulates: the plain ones, and those whose seeds or clusters are unequal.

Reads nothing. Writes nothing.
"""

import itertools
from dataclasses import replace

from simulated_experiments import Row

TWO_OR_THREE = (2, 3)
ONE_UNSTABLE = (0.05, 0.05, 0.05, 0.6)


def rows() -> list[Row]:
    """All rows, in the order of the tables."""
    return [*alike(), *unequal_seeds(), *unequal_clusters()]


def alike() -> list[Row]:
    """Cells of one seed spread, clusters of one size."""
    grid = [Row(items=n, seeds=s) for n, s in itertools.product((50, 300, 1000), (2, 3, 5))]
    means = [Row(items=n, mean=m) for m, n in itertools.product((0.05, 0.2, 0.8, 0.95), (50, 300, 1000))]
    clusters = [
        Row(f"2 x 2, {n // size} clusters of {size}", n, 3, cluster_size=size, cluster_sd=1.0)
        for n, size in ((300, 5), (300, 15), (1000, 5), (1000, 50))
    ]
    lacking = (5, 1, 2, 4, 3, 0)
    return [
        *grid, *means, Row("2 x 2, two seeds", 1000, 2, 0.2), Row("2 x 2, two seeds", 1000, 2, 0.8), *clusters,
        *(Row("2 x 2, seeds shared", 300, s, shared_sd=0.2, run_sd=0.1) for s in (2, 3, 5)),
        *(Row("3 x 2 less a cell, 1 to 5 seeds", n, levels=(3, 2), cell_seeds=lacking) for n in (300, 1000)),
        *(Row("2 x 2, 10 % of runs collapse", 300, s, has_collapses=True) for s in (2, 3, 5)),
        *(Row("2 levels only", 300, s, levels=(2, 1)) for s in (2, 3, 5)),
        *(Row("2 x 2, no seed spread", 300, s, run_sd=0.0) for s in (2, 5)),
        *(Row("2 x 2, large seed spread", 300, s, run_sd=0.8) for s in (2, 5)),
        Row("4 x 3", 300, 2, levels=(4, 3)),
        *(Row("2 x 2, seeds shared, large spread", 300, s, shared_sd=0.8, run_sd=0.1) for s in (2, 3, 5)),
    ]


def unequal_seeds() -> list[Row]:
    """Cells whose seeds spread unequally, because of their means or of themselves; answers not of items where it says so."""
    return [
        *_at_a_limit(), *_unstable(),
        *(Row(f"6 x 4, {text}", 300, 2, levels=(6, 4), cell_sds=sds) for text, sds in (
            ("one spread", (0.2,) * 24), ("spreads .05 to .8 in turn", (0.05, 0.8, 0.2, 0.4, 0.1, 0.6) * 4),
        )),
        *(Row("2 x 2, one seed beside three", 1000, cell_seeds=seeds) for seeds in ((3, 3, 3, 1), (1, 3, 1, 3), (1, 3, 3, 3))),
        Row("2 x 2, one seed beside three, unstable cell has three", 1000, cell_seeds=(3, 1, 1, 3), cell_sds=ONE_UNSTABLE),
        Row("2 x 2, one seed beside three, unstable cell has one", 1000, cell_seeds=(3, 3, 3, 1), cell_sds=ONE_UNSTABLE),
    ]


def _at_a_limit() -> list[Row]:
    """Cells near 0 or 1 beside cells near .5."""
    mixed = (0.5, 0.99, 0.5, 0.99, 0.99, 0.99, 0.99, 0.99)
    apart = (0.99, 0.5, 0.99, 0.99, 0.99, 0.99, 0.99, 0.5)
    shapes = [
        Row("2 x 2, cells at 0, .74, .98, 1, sd .3", 1000, mean=0.3, run_sd=0.3, cell_means=(0.0, 0.74, 0.98, 1.0)),
        Row("2 x 2, cells at .98, .74, 1, 0, sd .3", 1000, mean=0.3, run_sd=0.3, cell_means=(0.98, 0.74, 1.0, 0.0)),
        Row("4 x 2, six cells at .99, baseline and one more at .5, sd .3", 1000, levels=(4, 2), run_sd=0.3, cell_means=mixed),
        Row("4 x 2, six cells at .99, two others at .5, sd .3", 1000, mean=0.99, levels=(4, 2), run_sd=0.3, cell_means=apart),
        Row("2 x 2, cells at .05, .5, .5, .95, sd .3", 300, mean=0.05, run_sd=0.3, cell_means=(0.05, 0.5, 0.5, 0.95)),
    ]
    of_chance = [replace(row, name=f"{row.name}, not of items", item_spread=0.0) for row in (shapes[0], shapes[2], shapes[3])]
    all_high = Row("2 x 2, all at .98, sds .05/.05/.05/.6", 1000, mean=0.98, cell_sds=ONE_UNSTABLE)
    certain = [
        Row(f"2 x 2, all and the control at {mean:g}, no seed spread, not of items", items, s, mean, run_sd=0.0,
            cell_means=(mean,) * 4, item_spread=0.0)
        for mean, items, s in ((0.98, 300, 3), (0.98, 300, 5), (0.99, 300, 3), (0.995, 300, 5), (0.995, 1000, 5), (0.005, 300, 3))
    ]
    return [*(replace(row, seeds=s) for row in (*shapes, *of_chance, all_high) for s in TWO_OR_THREE), *certain]


def _unstable() -> list[Row]:
    """Cells of one mean, or nearly, and unequal spreads."""
    turned = [ONE_UNSTABLE[-place:] + ONE_UNSTABLE[:-place] for place in range(4)]
    places = ("last", "first (baseline)", "second", "third")
    unstable = [
        Row(f"2 x 2, {place} cell unstable, .6 and .05", 1000, cell_sds=sds, item_spread=spread)
        for spread in (1.0, 0.0) for place, sds in zip(places, turned, strict=True) if spread or place != "second"
    ]
    named = [replace(row, name=f"{row.name}, not of items") if not row.item_spread else row for row in unstable]
    last = (0.05, 0.05, 0.05, 0.5)
    wide = (0.05, 0.1, 0.2, 0.4, 0.8, 0.05, 0.3, 0.6)
    mixtures = [
        Row("2 x 2, sds .05/.05/.05/.5, not of items", 1000, cell_sds=last, item_spread=0.0),
        Row("4 x 2, sds .05 to .8", 1000, levels=(4, 2), cell_sds=wide),
        Row("4 x 2, sds .8 to .05", 300, levels=(4, 2), cell_sds=wide[::-1]),
        Row("2 x 2, sds .1/.2/.3/.4", 1000, cell_sds=(0.1, 0.2, 0.3, 0.4)),
        Row("2 x 2, first and last unstable, .5 and .05", 1000, cell_sds=(0.5, 0.05, 0.05, 0.5)),
        Row("2 x 2, second and last unstable, .5 and .05", 300, cell_sds=(0.05, 0.5, 0.05, 0.5)),
        Row("2 levels only, sds .05/.6", 1000, levels=(2, 1), cell_sds=(0.05, 0.6)),
        Row("2 levels only, sds .4/.1", 300, levels=(2, 1), cell_sds=(0.4, 0.1)),
    ]
    fewer = [
        Row("2 x 2, last cell unstable, .5 and .05, fewer seeds there", 1000, cell_seeds=(5, 5, 5, 2), cell_sds=last),
        Row("2 x 2, the same, not of items", 1000, cell_seeds=(5, 5, 5, 2), cell_sds=last, item_spread=0.0),
        Row("2 x 2, first cell unstable, .5 and .05, fewer seeds there", 1000, cell_seeds=(2, 5, 5, 5), cell_sds=last[::-1]),
        Row("2 levels only, sds .6/.05", 1000, levels=(2, 1), cell_seeds=(2, 5), cell_sds=(0.6, 0.05)),
    ]
    return [*(replace(row, seeds=s) for row in (*named, *mixtures) for s in TWO_OR_THREE), *fewer]


def unequal_clusters() -> list[Row]:
    """Lognormal clusters that move all runs alike and each level on its own, sd 1 both; alone and with unequal seeds."""
    plain = [
        Row("2 x 2", 1000, 3, cluster_sd=1.0, n_clusters=count, size_sd=sd)
        for count, sd in itertools.product((10, 15, 25, 50), (0.5, 1.0, 1.5))
    ]
    both = [
        Row("2 x 2, sds .05/.05/.05/.6", 1000, s, cluster_sd=1.0, n_clusters=count, size_sd=1.0, cell_sds=ONE_UNSTABLE)
        for count in (10, 25) for s in TWO_OR_THREE
    ]
    limit = Row(
        "2 x 2, cells at .05, .74, .98, .98, sd .3", 1000, 3, 0.3, run_sd=0.3, cluster_sd=1.0, n_clusters=25, size_sd=1.0,
        cell_means=(0.05, 0.74, 0.98, 0.98),
    )
    return [_with_clusters(row) for row in (*plain, *both, limit)]


def _with_clusters(row: Row) -> Row:
    return replace(row, name=f"{row.name}, {row.n_clusters} clusters, log size {row.size_sd:g}")
