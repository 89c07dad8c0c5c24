"""Accuracy against bytes, points named or joined: of the methods on the page, and beside what others have published.

The bytes' axis is logarithmic and has no place for 0, nor for the videos themselves, which are not counted in bytes,
nor for a memory of which nobody says how large it is: each gets a strip of its own, apart from the scale.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from essential.report.drawing import Drawing, Drawn, LineStyle, Palette, Sheet, dress
from essential.report.label_places import MARKER_SIZE, Place, place_labels
from essential.results.formats import BYTE_UNITS, budget_shown, shortened
from essential.results.runs import grouped_by

PUBLISHED = LineStyle(None, hollow=True)
"""The look of what was not run here."""
_SHEET = Sheet(width=480, height=440, right=10, top=26, bottom=74)
_AREA = _SHEET.area
_STRIP, _WIDE_STRIP, _CROWD = 62.0, 124.0, 4
"""Widths of strips, and how many points a narrow one holds."""
_HALF_TICK = 36.0
_LABEL_HEIGHT, _LETTER_WIDTH, _LABEL_SPACE, _NAME_LETTERS = 16.0, 8.6, 4.0, 14
"""Of a page as narrow as a phone, where letters are the largest against the drawing."""
_LINE_FROM, _NEAR = 13.0, 40.0
_SEEDS_BESIDE = 6.0


class Apart(Enum):
    """A memory that is not a number of bytes; the value is its strip's name."""

    ALL_VIDEOS = "all\nvideos"
    NOT_STATED = "not\nstated"


Kept = int | Apart


@dataclass(frozen=True)
class ScatterPoint:
    """A method, with accuracy and deviation in percent; `behind` is what the list beside the drawing says of it.

    Points of one name without labels are joined, and have a band from the `least` to the `greatest` accuracy. A
    `reference` is there at every larger budget too. `seeds` has the accuracy of each.
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
    seeds: tuple[float, ...] = ()


KEPT, CARRIED = "Kept from task to task, without MR modules", "Carried from task to task"
Labels = Mapping[ScatterPoint, str]
"""What stands at points: of those that are joined, at the last one."""


@dataclass(frozen=True)
class _Scale:
    """Where each memory lies, in points from the left; the ticks, the borders of strips, and the ends of the y axis."""

    places: Mapping[Kept, float]
    ticks: Sequence[tuple[float, str]]
    borders: Sequence[float]
    low: float
    high: float

    def spot(self, point: ScatterPoint) -> Place:
        """Return where a point lies in the area."""
        return self.places[point.kept], (point.accuracy - self.low) * _AREA[1] / (self.high - self.low)


def scatter_chart(
    name: str,
    points: Sequence[ScatterPoint],
    *,
    y_label: str,
    x_label: str = KEPT,
    budgets: Sequence[int] = (),
    note: str = "",
) -> Drawing:
    """Return a drawing of at least one point, with what `labels_of` gives them; `name` is unique on the page.

    Budgets are lines. `note` says in a file's legend what is to be known of the published points.
    """
    scale = _scale_of(points, budgets)
    labels = labels_of(points, budgets)

    def draw(palette: Palette) -> Drawn:
        figure, axes = _SHEET.plot()
        dress(axes, palette, x_label=x_label, y_label=y_label)
        axes.set(xlim=(0, _AREA[0]), ylim=(scale.low, scale.high))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}" if 0 <= value <= 100 else ""))
        axes.axhline(scale.low, color=palette.ink, alpha=0.7, linewidth=1, clip_on=False)
        _draw_scale(axes, palette, scale)
        _draw_budgets(axes, palette, [(scale.places[budget], budget_shown(budget)) for budget in budgets])
        apart = [point for point in points if point.label]
        keys = [_draw_point(axes, palette, scale.places[point.kept], point) for point in apart]
        keys += [_draw_curve(axes, palette, scale.places, curve) for curve in _curves(points)]
        if note:
            keys.append(Line2D([], [], label=note, **PUBLISHED.look(palette, size=5.5) | {"linestyle": ""}))
        if labels:
            _draw_labels(axes, palette, scale, points=points, labels=labels)
        return figure, keys

    return Drawing(name, draw)


def labels_of(points: Sequence[ScatterPoint], budgets: Sequence[int] = ()) -> Labels:
    """Return the names of points; their labels instead where names have no room, and where others were published.

    Where not all names have room, points of a crowd have their labels.
    """
    scale, numbers = _scale_of(points, budgets), {point: point.label for point in points if point.label}
    if any(point.look == PUBLISHED for point in points):
        return numbers
    joined = [max(curve, key=lambda point: scale.places[point.kept]) for curve in _curves(points)]
    names = {point: shortened(point.name, _NAME_LETTERS) for point in (*numbers, *joined)}
    spots = np.array([scale.spot(point) for point in names])
    near = (np.hypot(*(spots[:, None] - spots).T) < _NEAR).sum(axis=1)
    for most in (len(names), _CROWD):
        labels = {p: names[p] if count <= most else p.label for p, count in zip(names, near, strict=True)}
        if all(labels.values()) and _are_apart(labels, scale, points):
            return labels
    return numbers


def _curves(points: Sequence[ScatterPoint]) -> Sequence[Sequence[ScatterPoint]]:
    """Return the points that are joined, by their name."""
    return [*grouped_by((point for point in points if not point.label), lambda point: point.name).values()]


def _scale_of(points: Sequence[ScatterPoint], budgets: Sequence[int]) -> _Scale:
    kept = [point.kept for point in points]
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
    along = [(start + (power - low) * unit, int(power)) for power in powers_of_two if power >= 0]
    ticks = [(x, f"{1 << power % 10} {BYTE_UNITS[power // 10]}") for x, power in along if first <= x <= last]
    borders = [start] if start else []
    strips: list[tuple[Kept, str, float]] = [(0, "nothing\nkept", start / 2)] if start else []
    for strip, width in widths.items():
        strips.append((strip, strip.value, end + width / 2))
        borders.append(end)
        end += width
    places |= {memory: place for memory, _, place in strips}
    ticks += [(place, name) for _, name, place in strips]
    return _Scale(places, ticks, borders, *_ends([value for point in points for value in _reached(point)]))


def _reached(point: ScatterPoint) -> Iterator[float]:
    """Give the least and the greatest accuracy that is drawn of a point."""
    yield min(point.accuracy - point.deviation, *point.seeds, point.accuracy)
    yield max(point.accuracy + point.deviation, *point.seeds, point.accuracy)


def _ends(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = max(0.06 * (high - low), 1.0)
    return max(0.0, low) - room, min(100.0, high) + room


def _draw_scale(axes: Axes, palette: Palette, scale: _Scale) -> None:
    for border in scale.borders:
        axes.axvline(border, color=palette.ink, alpha=0.45, linewidth=1, linestyle=(0, (1, 2.5)))
    axes.set_xticks([place for place, _ in scale.ticks], [name for _, name in scale.ticks], linespacing=1.45)
    axes.tick_params(axis="x", pad=7)
    axes.xaxis.labelpad = 10


def _draw_budgets(axes: Axes, palette: Palette, budgets: Sequence[tuple[float, str]]) -> None:
    """Draw a line for each budget, with its size above where it does not run into the one before."""
    prefix, alpha, free_from = ("budget ", 0.6, 0.0) if len(budgets) == 1 else ("", 0.3, 0.0)
    for place, shown in budgets:
        axes.axvline(place, color=palette.ink, alpha=alpha, linewidth=1.2, linestyle=(0, (5, 2.5)), zorder=1)
        words = prefix + shown
        width = _LETTER_WIDTH * len(words)
        middle = min(max(place, width / 2), _AREA[0] - width / 2)
        if middle - width / 2 >= free_from:
            free_from = middle + width / 2 + _LABEL_SPACE
            above = axes.get_xaxis_transform()
            axes.text(middle, 1.02, words, transform=above, ha="center", va="bottom", color=palette.ink)


def _draw_curve(axes: Axes, palette: Palette, places: Mapping[Kept, float], points: Sequence[ScatterPoint]) -> Line2D:
    """Draw a method over its budgets with a band over seeds, rings on the front, and a rule of a reference."""
    points = sorted(points, key=lambda point: places[point.kept])
    x, y = [places[point.kept] for point in points], [point.accuracy for point in points]
    look = points[0].look.look(palette, size=7.0) | {"zorder": 3}
    ends = [point.least for point in points], [point.greatest for point in points]
    axes.fill_between(x, *ends, color=look["color"], alpha=0.15, linewidth=0, zorder=1.5)
    axes.vlines(x, *ends, color=look["color"], linewidth=1.6, zorder=2)
    for place, point in zip(x, points, strict=True):
        _draw_seeds(axes, place, point, colour=look["color"])
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
    _draw_seeds(axes, place, point, colour=look["color"])
    return axes.plot((place,), (point.accuracy,), label=f"{point.label}  {point.name}", **look)[0]


def _draw_seeds(axes: Axes, place: float, point: ScatterPoint, *, colour: str) -> None:
    """Draw a small dot for each seed, beside the bar, where there are several."""
    if len(point.seeds) > 1:
        at = [place - _SEEDS_BESIDE] * len(point.seeds)
        axes.plot(at, point.seeds, "o", color=colour, markersize=3.2, markeredgewidth=0, clip_on=False, zorder=3.5)


def _draw_labels(
    axes: Axes, palette: Palette, scale: _Scale, *, points: Sequence[ScatterPoint], labels: Labels
) -> None:
    line = {"arrowstyle": "-", "color": palette.ink, "alpha": 0.5, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 4}
    for (point, text), (middle, height) in zip(labels.items(), _placed(labels, scale, points), strict=True):
        x, y = scale.spot(point)
        # Letters may be narrower than is thought: the side of the text that is at its point stays there.
        side = 1 if middle > x else -1
        edge = float(middle - side * (_size_of(text)[0] - _LABEL_SPACE) / 2)
        axes.annotate(
            text,
            (x, point.accuracy),
            (edge, scale.low + height * (scale.high - scale.low) / _AREA[1]),
            ha="left" if side > 0 else "right",
            va="center_baseline",
            color=palette.ink,
            zorder=2,
            arrowprops=line if math.dist((x, y), (edge, height)) > _LINE_FROM else None,
        )


def _placed(labels: Labels, scale: _Scale, points: Sequence[ScatterPoint]) -> Float[np.ndarray, "points 2"]:
    """Return the middle of each label; the lines between points that are joined are not covered."""
    around = [scale.spot(point) for point in points]
    for curve in _curves(points):
        along = np.array(sorted(scale.spot(point) for point in curve))
        steps = np.linspace(0, len(along) - 1, 12 * len(along))
        around += zip(*(np.interp(steps, np.arange(len(along)), part) for part in along.T), strict=True)
    sizes = [_size_of(text) for text in labels.values()]
    return place_labels([scale.spot(point) for point in labels], sizes, area=_AREA, around=around)


def _size_of(text: str) -> Place:
    return _LETTER_WIDTH * len(text) + _LABEL_SPACE, _LABEL_HEIGHT


def _are_apart(labels: Labels, scale: _Scale, points: Sequence[ScatterPoint]) -> bool:
    """Whether no label covers another, or a point."""
    middles, sizes = _placed(labels, scale, points), np.array([_size_of(text) for text in labels.values()])
    between = np.abs(middles[:, None] - middles) - (sizes[:, None] + sizes) / 2
    between[np.diag_indices(len(middles))] = 1
    spots = np.array([scale.spot(point) for point in points])
    beside = np.abs(middles[:, None] - spots) - (sizes[:, None] + MARKER_SIZE) / 2
    return bool((between > -1e-6).any(axis=2).all() and (beside > -1e-6).any(axis=2).all())
