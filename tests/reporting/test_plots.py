"""Plots, where there is little or nothing to plot."""

import math

from ftexp.reporting.plots import Curve, Point, curves_plot, factor_plot, smooth


def test_plots_cope_with_one_level_no_control_names_and_nothing() -> None:
    assert factor_plot("lr", [1e-4], [], metric="exact").picture is None and curves_plot([]).picture is None
    for levels in ([0.1], ["small", "large"], [None, True, "x"], [1, 2, 3], [1e-5, 1.0], [["q"], ["q", "k"]]):
        points = [Point({"f": level, "seed": 1}, 0.5, None) for level in levels]
        assert factor_plot("f", levels, points, metric="exact").picture
    many = [Point({"f": 1, "g": g, "h": h}, 0.1 * h, 0.1 * g) for g in range(4) for h in range(5)]
    assert factor_plot("f", [1, 2], many, metric="exact").picture
    assert curves_plot([Curve({"f": 1}, [1, 2], [2.0, math.nan])]).picture


def test_smoothing_keeps_a_constant_and_averages_around_each_step() -> None:
    assert smooth([2.0] * 5, 3) == [2.0] * 5
    assert smooth([0.0, 3.0, 6.0], 3) == [1.5, 3.0, 4.5]
    assert smooth([1.0, 5.0], 1) == [1.0, 5.0]
