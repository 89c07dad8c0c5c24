"""Charts as drawings: lines over counts, memory by kind as stacked bars, and shares as shaded squares."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.lines import Line2D

from essential.records import MemoryBytes
from essential.report.drawing import CELL, Drawing, Drawn, LineStyle, Palette, Sheet, count_ticks, dress
from essential.results.formats import BYTE_UNITS, byte_power, percent, shortened
from essential.results.runs import Spread

KINDS = {
    "episodic": "Episodic",
    "semantic": "Semantic",
    "statistics": "Statistics",
    "retrieval_modules": "MR modules",
}
"""The kinds of memory and their titles."""
_SHEET = Sheet(width=480, height=270)
_SQUARE = Sheet(width=560, height=482, left=150, top=8, bottom=64)
_MOST_BARS = 4
_NAME_LENGTH = 22
RIGHT, WRONG = "#187a99", "#c95410"
"""For light and dark pages: the shades are an image, which cannot follow the page's colours."""
_SMALL = 11
_TEXTS = 12
_TINY_FROM = 60
MOST_BEHIND_TEXT = 0.65
"""Opacity of a cell with a number in it, which can be read in light and dark."""


def _shades(most: float) -> LinearSegmentedColormap:
    """Return the colours of -1 (all wrong) to 1 (all right): a cell's opacity tells its share."""
    ends = [(WRONG, most), (WRONG, 0.12), (RIGHT, 0.12), (RIGHT, most)]
    # Few levels: the file stays small.
    return LinearSegmentedColormap.from_list("", list(zip((0, 0.5, 0.5, 1), ends, strict=True)), N=48)


_SHADES = {True: _shades(MOST_BEHIND_TEXT), False: _shades(0.87)}
"""With and without numbers in the cells."""
Cells = Sequence[Sequence[float | None]]
Ticks = Sequence[tuple[int, int, str]]
"""The labels of an axis: the first and the last place of each, and its name."""


@dataclass(frozen=True, eq=False)
class ChartLine:
    """One line: its spread over seeds at each place, without a mean where there is a gap, and the seeds' values."""

    label: str
    style: LineStyle
    points: Mapping[int, Spread]
    seeds: Mapping[int, Sequence[float]] = field(default_factory=dict)


def line_chart(name: str, lines: Sequence[ChartLine], *, axes: tuple[str, str]) -> Drawing:
    """Return a drawing of lines over whole numbers from 1, at least one of them with a place.

    `name` is unique on the page; `axes` names x and y. In percent, y is from 0 to 100; else it fits the values and 0.
    """

    def draw(palette: Palette) -> Drawn:
        figure, plot = _SHEET.plot()
        longest = max(place for line in lines for place in line.points)
        size = 7.5 if longest <= 15 else 5.5
        keys = [_draw_line(plot, palette, line, size=size) for line in lines]
        count_ticks(plot, longest)
        dress(plot, palette, x_label=axes[0], y_label=axes[1])
        plot.axhline(0, color=palette.ink, alpha=0.7, linewidth=1, zorder=2)
        plot.margins(y=0.08)
        if axes[1].endswith("%"):
            plot.set_ylim(0, 100)
        elif plot.dataLim.ymin >= 0:
            plot.set_ylim(0, plot.get_ylim()[1] if plot.dataLim.ymax else 1)
        return figure, keys

    return Drawing(name, draw)


def _draw_line(axes: Axes, palette: Palette, line: ChartLine, *, size: float) -> Line2D:
    """Draw a line, and behind it a dot for each of several seeds; return the line."""
    _draw_seeds(axes, palette, line, shift=0)
    means = np.array([each.mean for each in line.points.values()], float)
    return axes.plot(list(line.points), means, label=line.label, **line.style.look(palette, size=size))[0]


def _draw_seeds(axes: Axes, palette: Palette, line: ChartLine, *, shift: float) -> None:
    dots = [(place + shift, value) for place, values in line.seeds.items() if len(values) > 1 for value in values]
    if dots:
        look: dict[str, Any] = {"markeredgewidth": 0.7, "clip_on": False, "zorder": 2.5}
        look |= {"markerfacecolor": palette.paper, "markeredgecolor": line.style.colour(palette)}
        axes.plot(*np.array(dots).T, linestyle="", marker="o", markersize=3.6, **look)


def bar_chart(name: str, lines: Sequence[ChartLine], *, axes: tuple[str, str]) -> Drawing:
    """Return a drawing of bars over whole numbers from 1, side by side where there are several lines.

    Of more than four lines only the ends are drawn, as markers. Arguments are those of `line_chart`.
    """

    def draw(palette: Palette) -> Drawn:
        figure, plot = _SHEET.plot()
        width = 0.8 / len(lines)
        keys: list[Any] = []
        for number, line in enumerate(lines):
            shift = (number - (len(lines) - 1) / 2) * width
            places = np.array(list(line.points)) + shift
            means = np.array([each.mean for each in line.points.values()], float)
            if len(lines) <= _MOST_BARS:
                look: dict[str, Any] = {"color": line.style.colour(palette), "linewidth": 0, "zorder": 2}
                keys.append(plot.bar(places, means, 0.9 * width, label=line.label, **look))
            else:
                look = line.style.look(palette, size=5.5) | {"linestyle": ""}
                keys += plot.plot(places, means, label=line.label, **look)
            _draw_seeds(plot, palette, line, shift=shift)
        count_ticks(plot, max(place for line in lines for place in line.points))
        dress(plot, palette, x_label=axes[0], y_label=axes[1])
        plot.axhline(0, color=palette.ink, alpha=0.7, linewidth=1, zorder=2.2)
        plot.margins(y=0.08)
        return figure, keys

    return Drawing(name, draw)


def memory_bars(name: str, memories: Sequence[MemoryBytes]) -> Drawing:
    """Return a drawing with one bar per task learned."""

    def draw(palette: Palette) -> Drawn:
        count = len(memories)
        figure, axes = _SHEET.plot()
        unit = byte_power(max(memory.total for memory in memories))
        places = range(1, count + 1)
        ends = np.zeros(count)
        keys: list[Any] = []
        for (kind, title), colour in zip(KINDS.items(), palette.kinds, strict=True):
            sizes = np.array([getattr(memory, kind) for memory in memories]) / 1024**unit
            look: dict[str, Any] = {"facecolor": colour, "label": title, "linewidth": 0, "zorder": 2}
            if palette.alone and colour == palette.kinds[-1]:
                # On a page it is hatched by its colour.
                look |= {"facecolor": palette.paper, "edgecolor": colour, "hatch": "//"}
            if sizes.any():
                keys.append(axes.bar(places, sizes, 0.7, ends, **look))
            ends = ends + sizes
        count_ticks(axes, count)
        dress(axes, palette, x_label="Tasks learned", y_label=f"Memory, {BYTE_UNITS[unit]}")
        axes.set_ylim(0, 1.06 * float(ends.max()) or 1.0)
        axes.axhline(0, color=palette.ink, alpha=0.7, linewidth=1)
        return figure, keys

    return Drawing(name, draw)


def cell_box(cells: Cells, row: int, column: int, *, columns: int = 1) -> tuple[float, float, float, float]:
    """Return where a cell of a heat map lies, or several beside each other: a box of `Hover`."""
    wide, high = (size / count for size, count in zip(_SQUARE.area, (len(cells[0]), len(cells)), strict=True))
    return _SQUARE.left + column * wide, _SQUARE.top + row * high, columns * wide, high


def heat_map(
    name: str,
    cells: Cells,
    *,
    labels: tuple[str, str],
    ticks: tuple[Ticks, Ticks],
    edges: Sequence[int] = (),
    beside_diagonal: Literal["right", "wrong"] = "wrong",
) -> Drawing:
    """Return a drawing of cells, by row, from 0 to 1, None = empty; the diagonal has the colour of what is right.

    `name` is unique on the page, `labels` and `ticks` are of x and y; a line separates tasks before each of `edges`.
    Cells off the diagonal count what was right or what was wrong.
    """
    shares = np.array(cells, float)
    high, wide = shares.shape

    def draw(palette: Palette) -> Drawn:
        figure, axes = _SQUARE.plot()
        # The root lifts the small shares, which would be lost beside a few large ones; the more so in tiny cells.
        lifted = np.where(shares > 0, shares, np.nan) ** (0.5 if high <= _TINY_FROM else 0.3)
        signed = lifted if beside_diagonal == "right" else np.where(np.eye(high, wide), lifted, -lifted)
        shades = _SHADES[wide <= _TEXTS]
        axes.imshow(signed, shades, vmin=-1, vmax=1, interpolation="none", aspect="auto", extent=(0, wide, high, 0))
        if wide <= _TEXTS:
            for (row, column), value in np.ndenumerate(shares):
                if value > 0 or (value == 0 and beside_diagonal == "right"):
                    cell = axes.text(column + 0.5, row + 0.5, percent(value), ha="center", va="center")
                    cell.set(color=palette.ink, fontsize=_SMALL, gid=None if palette.alone else CELL)
        width = 0.8 if len(edges) <= _TEXTS else 0.3
        axes.hlines(edges, 0, wide, color=palette.ink, alpha=0.25, linewidth=width)
        axes.vlines(edges, 0, high, color=palette.ink, alpha=0.25, linewidth=width)
        for axis, label, spans in zip((axes.xaxis, axes.yaxis), labels, ticks, strict=True):
            names = [shortened(each, _NAME_LENGTH - 3) for *_, each in spans]
            axis.set_ticks([(first + last + 1) / 2 for first, last, _ in spans], names)
            axis.set_label_text(label, color=palette.ink)
            axis.labelpad = 8
        axes.tick_params(length=0, pad=6, labelcolor=palette.ink, labelsize=_SMALL)
        axes.spines[:].set(color=palette.ink, alpha=0.4, linewidth=0.8)
        return figure, ()

    return Drawing(name, draw)
