"""Figures as SVG and PNG, to stand in an HTML page and beside it, and what groups in them look like.

Colours are Okabe and Ito's, which colour-blind readers can tell apart. Nothing is read or written. The same
drawing gives the same bytes.
"""

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ftexp.design.levels import label_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P")
MOST_IN_LEGEND = 12
LONG_LABEL = 30
SIZE_INCHES = (7.6, 3.6)
PNG_DPI = 150
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "path", "font.family": "DejaVu Sans", "font.size": 9, "axes.spines.top": False,
    "axes.spines.right": False, "axes.grid": True, "grid.color": "#dddddd", "grid.linewidth": 0.6,
    "axes.axisbelow": True, "legend.frameon": False, "text.parse_math": False,
}



@dataclass(frozen=True)
class Look:
    """What tells a group apart; groups with one label share a look."""

    label: str
    colour: str
    marker: str


def cell_label(levels: dict[str, Any]) -> str:
    """A combination of levels in words."""
    return ", ".join(f"{name} {label_text(level)}" for name, level in levels.items()) or "all runs"


def group_looks(groups: list[dict[str, Any]]) -> tuple[list[Look], str]:
    """Colour, marker and legend of each group; above twelve only their first factor is told apart."""
    labels, title = [cell_label(group) for group in groups], ""
    if len(groups) > MOST_IN_LEGEND:
        first = next(iter(groups[0]))
        labels, title = [f"{first} {label_text(group[first])}" for group in groups], f"coloured by {first}"
    order = {label: index for index, label in enumerate(dict.fromkeys(labels))}
    colours = _colours(len(order))
    return [Look(label, colours[order[label]], MARKERS[order[label] % len(MARKERS)]) for label in labels], title


def _colours(count: int) -> Sequence[str]:
    """Okabe and Ito's, or, where they do not suffice, steps of viridis, which is as safe."""
    if count <= len(COLOURS):
        return COLOURS
    import matplotlib
    from matplotlib.colors import to_hex

    return [to_hex(matplotlib.colormaps["viridis"](0.95 * index / (count - 1))) for index in range(count)]


@dataclass(frozen=True)
class Picture:
    """One figure: `element` stands in an HTML page, `svg` and `png` are whole files."""

    element: str
    svg: str
    png: bytes


def draw_picture(
    name: str, draw: Callable[["Axes"], None], looks: Sequence[Look] = (), *, legend_title: str = "",
    size_inches: tuple[float, float] = SIZE_INCHES,
) -> Picture:
    """Draw one figure; `name` keeps its ids apart from those of other figures in a page."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({**_STYLE, "svg.hashsalt": name})
        figure = Figure(figsize=size_inches, layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure.add_subplot())
        _add_legend(figure, looks, legend_title)
        text, png = io.StringIO(), io.BytesIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
        figure.set_layout_engine("none")  # as it was found for the SVG: finding it takes a quarter of the time
        FigureCanvasAgg(figure)
        figure.savefig(png, format="png", dpi=PNG_DPI, metadata={"Software": None})
    return Picture(_for_page(text.getvalue(), name), text.getvalue(), png.getvalue())


def panels(axes: "Axes", count: int, columns: int, *, heights: Sequence[float] = ()) -> "list[Axes]":
    """So many axes in place of one, in rows of `columns`, from the left; `heights` of the rows, where they differ."""
    figure = axes.figure
    axes.remove()
    rows = -(-count // columns)
    grid = figure.add_gridspec(rows, columns, height_ratios=heights or None)
    return [figure.add_subplot(grid[number // columns, number % columns]) for number in range(count)]


def write_on(axes: "Axes", image: "AxesImage", texts: Sequence[Sequence[str]], *, size: float = 8) -> None:
    """Write a text on each field of an image: black on light fields, white on dark ones.

    Where the relative luminance (WCAG 2) is 0.2 both have a contrast over 4.
    """
    colours = np.asarray(image.to_rgba(np.ma.asarray(image.get_array())))
    for y, row in enumerate(texts):
        for x, text in enumerate(row):
            if not text:
                continue
            linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colours[y, x, :3].tolist()]
            luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
            axes.text(
                x, y, text, ha="center", va="center", color="black" if luminance > 0.2 else "white", fontsize=size,
                linespacing=1.1, in_layout=False,
            )
    axes.grid(visible=False)


def _add_legend(figure: "Figure", looks: Sequence[Look], title: str) -> None:
    """A legend beside the axes, or below them where its labels are long."""
    from matplotlib.lines import Line2D

    distinct = list({look.label: look for look in looks}.values())
    if not 1 < len(distinct) <= MOST_IN_LEGEND:
        return
    handles = [Line2D([], [], color=look.colour, marker=look.marker, label=look.label, markersize=5) for look in distinct]
    if max(len(look.label) for look in distinct) <= LONG_LABEL:
        figure.legend(handles=handles, loc="outside right upper", title=title or None)
        return
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + 0.1 + 0.2 * ((len(distinct) + 1) // 2))
    figure.legend(handles=handles, loc="outside lower left", ncols=2, title=title or None)


def _for_page(svg: str, name: str) -> str:
    """Without XML declaration, name spaces, comments and fixed size; ids made unique within the page."""
    prefix = re.sub(r"[^A-Za-z0-9]", "-", name) + "-"
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r'\s+xmlns(:\w+)?="[^"]*"', "", body)
    body = re.sub(r'(<svg\b[^>]*?) width="[^"]*"', r"\1", body, count=1)
    body = re.sub(r'(<svg\b[^>]*?) height="[^"]*"', r"\1", body, count=1)
    return re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{prefix}", body).strip()
