"""Accuracy against bytes, points labelled or joined: of the methods on the page, and beside what others have published.

The bytes' axis is logarithmic and has no place for 0, nor for the videos themselves, which are not counted in bytes,
nor for a memory of which nobody says how large it is: each gets a strip of its own, apart from the scale.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from essential.report.drawing import Drawing, Drawn, LineStyle, Palette, Sheet, dress
from essential.results.formats import BYTE_UNITS
from essential.results.runs import grouped_by

PUBLISHED = LineStyle(None, hollow=True)
"""The look of what was not run here."""
_SHEET = Sheet(width=480, height=440, right=10, top=26, bottom=74)
_AREA = _SHEET.area
_STRIP, _WIDE_STRIP, _CROWD = 62.0, 124.0, 4
"""Widths of strips, and how many points a narrow one holds."""
_HALF_TICK = 36.0
_LABEL_HEIGHT, _DIGIT_WIDTH, _LABEL_SPACE = 16.0, 10.2, 4.0
"""Of a page as narrow as a phone, where letters are the largest against the drawing."""
_LINE_FROM = 22.0
_MARKER_SIZE = 10.0
Place = tuple[float, float]


class Apart(Enum):
    """A memory that is not a number of bytes; the value is its strip's name."""

    ALL_VIDEOS = "all\nvideos"
    NOT_STATED = "not\nstated"


Kept = int | Apart


@dataclass(frozen=True)
class ScatterPoint:
    """A method, with accuracy and deviation in percent; `behind` is what the list beside the drawing says of it.

    Points of one name without labels are joined, and have a band from the `least` to the `greatest` accuracy. A
    `reference` is there at every larger budget too.
    """

    label: str
    name: str
    accuracy: float
    deviation: float
    kept: Kept
    look: LineStyle
    behind: str = ""
    least: float = 0.0
    greatest: float = 0.0
    on_front: bool = False
    reference: bool = False


KEPT, CARRIED = "Kept from task to task, without MR modules", "Carried from task to task"


def scatter_chart(
    name: str,
    points: Sequence[ScatterPoint],
    *,
    y_label: str,
    x_label: str = KEPT,
    budgets: Sequence[int] = (),
    note: str = "",
) -> Drawing:
    """Return a drawing of at least one point, with labels of their own or none; `name` is unique on the page.

    Budgets are lines. `note` says in a file's legend what is to be known of the published points.
    """

    def draw(palette: Palette) -> Drawn:
        figure, axes = _SHEET.plot()
        dress(axes, palette, x_label=x_label, y_label=y_label)
        low = min(point.accuracy - point.deviation for point in points)
        high = max(point.accuracy + point.deviation for point in points)
        room = max(0.06 * (high - low), 1.0)
        axes.set(xlim=(0, _AREA[0]), ylim=(max(0.0, low) - room, min(100.0, high) + room))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}" if 0 <= value <= 100 else ""))
        axes.axhline(axes.get_ylim()[0], color=palette.ink, alpha=0.7, linewidth=1, clip_on=False)
        places = _lay_out(axes, palette, [point.kept for point in points], budgets)
        labelled = [(places[point.kept], point) for point in points if point.label]
        keys = [_draw_point(axes, palette, place, point) for place, point in labelled]
        curves = grouped_by((point for point in points if not point.label), lambda point: point.name)
        keys += [_draw_curve(axes, palette, places, curve) for curve in curves.values()]
        if note:
            keys.append(Line2D([], [], label=note, **PUBLISHED.look(palette, size=5.5) | {"linestyle": ""}))
        if labelled:
            _draw_labels(axes, palette, labelled)
        return figure, keys

    return Drawing(name, draw)


def _lay_out(axes: Axes, palette: Palette, kept: Sequence[Kept], budgets: Sequence[int]) -> dict[Kept, float]:
    """Draw the scale, its strips and the budgets; return where each memory lies, in points from the left."""
    counts = {count for count in (*kept, *budgets) if isinstance(count, int) and count}
    powers = [math.log2(count) for count in counts] or [10.0, 20.0]
    room = max(0.06 * (max(powers) - min(powers)), 0.75)
    low, high = min(powers) - room, max(powers) + room
    start = _STRIP if 0 in kept else 0.0
    widths = {strip: _STRIP if kept.count(strip) <= _CROWD else _WIDE_STRIP for strip in Apart if strip in kept}
    end = _AREA[0] - sum(widths.values())
    unit = (end - start) / (high - low)
    places: dict[Kept, float] = {count: start + (math.log2(count) - low) * unit for count in counts}
    # A label of the scale must not reach into a strip, whose name is as wide as the strip.
    first, last = start + _HALF_TICK * (start > 0), end - _HALF_TICK * bool(widths)
    powers_of_two = MaxNLocator(nbins=4, integer=True, steps=[1, 2, 3, 5, 10]).tick_values(max(low, 0), high)
    scale = [(start + (power - low) * unit, int(power)) for power in powers_of_two if power >= 0]
    ticks = [(x, f"{1 << power % 10} {BYTE_UNITS[power // 10]}") for x, power in scale if first <= x <= last]
    strips: list[tuple[Kept, str, float, float]] = [(0, "nothing\nkept", 0.0, start)] if start else []
    for strip, width in widths.items():
        strips.append((strip, strip.value, end, end + width))
        end += width
    for memory, name, left, right in strips:
        places[memory] = (left + right) / 2
        ticks.append((places[memory], name))
        axes.axvline(left or right, color=palette.ink, alpha=0.45, linewidth=1, linestyle=(0, (1, 2.5)))
    axes.set_xticks([place for place, _ in ticks], [name for _, name in ticks], linespacing=1.45)
    axes.tick_params(axis="x", pad=7)
    axes.xaxis.labelpad = 10
    for place in (places[budget] for budget in budgets):
        alpha = 0.6 if len(budgets) == 1 else 0.3
        axes.axvline(place, color=palette.ink, alpha=alpha, linewidth=1.2, linestyle=(0, (5, 2.5)), zorder=1)
    if budgets:
        place, words = places[budgets[-1]], "budget" if len(budgets) == 1 else "budgets"
        side = "right" if place > _AREA[0] * 0.8 else "left" if place < _AREA[0] * 0.2 else "center"
        axes.text(place, 1.02, words, transform=axes.get_xaxis_transform(), ha=side, va="bottom", color=palette.ink)
    return places


def _draw_curve(axes: Axes, palette: Palette, places: Mapping[Kept, float], points: Sequence[ScatterPoint]) -> Line2D:
    """Draw a method over its budgets with a band over seeds, rings on the front, and a rule of a reference."""
    points = sorted(points, key=lambda point: places[point.kept])
    x, y = [places[point.kept] for point in points], [point.accuracy for point in points]
    look = points[0].look.look(palette, size=7.0) | {"zorder": 3}
    ends = [point.least for point in points], [point.greatest for point in points]
    axes.fill_between(x, *ends, color=look["color"], alpha=0.15, linewidth=0, zorder=1.5)
    axes.vlines(x, *ends, color=look["color"], linewidth=1.6, zorder=2)
    if points[0].reference:
        across = (x[0], _AREA[0]) if isinstance(points[0].kept, int) else (0, _AREA[0])
        axes.hlines(y[0], *across, color=look["color"], alpha=0.6, linewidth=1.2, linestyle=(0, (1, 2)), zorder=1.5)
    front = [(place, point.accuracy) for place, point in zip(x, points, strict=True) if point.on_front]
    for spot in front:
        axes.plot(*spot, "o", markersize=15, markerfacecolor="none", color=palette.ink, linewidth=1.4, clip_on=False)
    return axes.plot(x, y, label=points[0].name, **look)[0]


def _draw_point(axes: Axes, palette: Palette, place: float, point: ScatterPoint) -> Line2D:
    look = point.look.look(palette, size=5.5 if point.look == PUBLISHED else 8.0) | {"linestyle": "", "zorder": 4}
    axes.errorbar(place, point.accuracy, point.deviation, fmt="none", ecolor=look["color"], elinewidth=1.6, zorder=3)
    return axes.plot((place,), (point.accuracy,), label=f"{point.label}  {point.name}", **look)[0]


def _draw_labels(axes: Axes, palette: Palette, points: Sequence[tuple[float, ScatterPoint]]) -> None:
    low, high = axes.get_ylim()
    unit = _AREA[1] / (high - low)
    spots = [(x, (point.accuracy - low) * unit) for x, point in points]
    size = _DIGIT_WIDTH * max(len(point.label) for _, point in points) + _LABEL_SPACE, _LABEL_HEIGHT
    line = {"arrowstyle": "-", "color": palette.ink, "alpha": 0.5, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 4}
    for (x, point), spot, middle in zip(points, spots, place_labels(spots, size, area=_AREA), strict=True):
        axes.annotate(
            point.label,
            (x, point.accuracy),
            (middle[0], low + middle[1] / unit),
            ha="center",
            va="center_baseline",
            color=palette.ink,
            zorder=2,
            arrowprops=line if math.dist(spot, middle) > _LINE_FROM else None,
        )


def place_labels(points: Sequence[Place], size: Place, *, area: Place) -> Float[np.ndarray, "points 2"]:
    """Return the middle of each label, inside the area, left or right of its point; none covers another, or a point.

    Each point takes the nearest place that is free; labels of a crowd form columns on both sides of it.
    Then they trade places so that the lines from points to labels are as short as can be in all: such lines do not
    cross. `size` is that of a label, and `area` that of the drawing, whose corner is (0, 0).
    """
    # Takes a while to import, and only charts of several methods need it.
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    spots, box, places = np.array(points, float), np.array(size), np.zeros((0, 2))
    beside = (box[0] + _MARKER_SIZE) / 2 + np.arange(4, 64, 6)
    steps = np.stack(np.meshgrid([*beside, *-beside], np.arange(-120, 121, 2)), axis=-1).reshape(-1, 2)
    # To go up or down is better than to go away.
    steps = steps[np.argsort(np.abs(steps) @ [3, 1], kind="stable")]
    # From the middle of a crowd outwards, so that its columns are level with it.
    crowd = np.exp(-((cdist(spots, spots) / 40) ** 2)).sum(axis=1)
    for spot in spots[np.argsort(-crowd, kind="stable")]:
        around = spot + steps
        around = around[((around >= box / 2) & (around <= np.array(area) - box / 2)).all(axis=1)]
        free = np.ones(len(around), bool)
        for others, least in ((spots, (box + _MARKER_SIZE) / 2), (places, box)):
            free &= (np.abs(around[:, None] - others) >= least).any(axis=2).all(axis=1)
        places = np.vstack([places, around[free.argmax()]])
    chosen: Float[np.ndarray, "points 2"] = places[linear_sum_assignment(cdist(spots, places))[1]]
    return chosen
