"""Accuracy against kept bytes: a scatter chart its points labelled.

The bytes' axis is logarithmic and has no place for 0, nor for the videos themselves, which are not counted in bytes,
nor for a memory of which nobody says how large it is: each gets a strip of its own, apart from the scale.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from essential.report.drawing import Drawing, Drawn, Palette, Sheet, dress
from essential.report.formats import byte_unit
from essential.report.line_style import LineStyle

_SHEET = Sheet(width=480, height=440, right=10, top=26, bottom=74)
_AREA = _SHEET.area
_STRIP = 62.0
_WIDE_STRIP = 124.0
_CROWD = 4
_LABEL_HEIGHT, _DIGIT_WIDTH, _LABEL_SPACE = 16.0, 10.2, 4.0
"""Of a page as narrow as a phone, where letters are the largest against the drawing."""
_TICKS = 4
_LINE_FROM = 22.0
_MARKER_SIZE = 10.0
_GAP = 4.0
_STEP = 2.0
_NEAR = 40.0
_REACH = 120.0
"""How far a label goes from its point at the most."""

Place = tuple[float, float]
Look = Literal["baseline", "in-rules", "out-of-rules", "published"]


class Apart(Enum):
    """A memory that is not a number of bytes; the value is its strip's name."""

    ALL_VIDEOS = "all\nvideos"
    NOT_STATED = "not\nstated"


Kept = int | Apart


@dataclass(frozen=True)
class ScatterPoint:
    """A method: its label in the drawing, its name, accuracy and deviation in percent, and what it keeps.

    `look` is a part that it plays, or the style of its lines in other figures.
    """

    label: str
    name: str
    accuracy: float
    deviation: float
    kept: Kept
    look: Look | LineStyle


def scatter_chart(
    name: str,
    points: Sequence[ScatterPoint],
    *,
    y_label: str,
    budget_bytes: int | None = None,
    published_note: str = "",
) -> Drawing:
    """Return a drawing of at least one point.

    Args:
        name: unique on the page.
        points: all with labels of their own.
        y_label: what is measured.
        budget_bytes: drawn as a line.
        published_note: says in a file's legend what is to be known of the published points.
    """

    def draw(palette: Palette) -> Drawn:
        scale = _Scale.of([point.kept for point in points], budget_bytes)
        figure, axes = _SHEET.plot()
        axes.set(xlim=(0, _AREA[0]), ylim=_limits(points))
        _dress(axes, palette, scale, y_label=y_label)
        if budget_bytes is not None:
            _draw_budget(axes, palette, scale.place(budget_bytes))
        keys = [_draw_point(axes, palette, scale.place(point.kept), point) for point in points]
        if published_note:
            keys.append(Line2D([], [], label=published_note, **_marker(palette, "published")))
        _draw_labels(axes, palette, scale, points)
        return figure, keys

    return Drawing(name, draw)


@dataclass(frozen=True)
class _Scale:
    """Where bytes lie across the plot: powers of two from `low` to `high` between `start` and `end`.

    `apart` has the edges of the strips behind the scale.
    """

    low: float
    high: float
    start: float
    end: float
    apart: dict[Apart, tuple[float, float]] = field(default_factory=dict)

    @classmethod
    def of(cls, kept: Sequence[Kept], budget_bytes: int | None) -> "_Scale":
        counts = [count for count in (*kept, budget_bytes) if isinstance(count, int) and count]
        powers = [math.log2(count) for count in counts] or [10.0, 20.0]
        room = max(0.06 * (max(powers) - min(powers)), 0.75)
        start = _STRIP if 0 in kept else 0.0
        end = _AREA[0]
        apart = {}
        for strip in reversed(Apart):
            if strip in kept:
                width = _STRIP if kept.count(strip) <= _CROWD else _WIDE_STRIP
                apart[strip] = (end - width, end)
                end -= width
        return cls(min(powers) - room, max(powers) + room, start, end, apart)

    def place(self, kept: Kept) -> float:
        """Return where bytes lie, in points from the left."""
        if isinstance(kept, Apart):
            return sum(self.apart[kept]) / 2
        if kept == 0:
            return self.start / 2
        return self.start + (math.log2(kept) - self.low) / (self.high - self.low) * (self.end - self.start)

    @property
    def ticks(self) -> list[int]:
        """Whole powers of two, evenly spaced, at most `_TICKS` where a step of 10 suffices."""
        for step in (1, 2, 3, 5, 10):
            powers = range(math.ceil(self.low / step) * step, math.floor(self.high) + 1, step)
            if len(powers) <= _TICKS:
                break
        return [power for power in powers if power >= 0]

    def has_room(self, power: int) -> bool:
        """Whether a tick's label reaches into no strip, where names stand that are as wide as it."""
        half = _DIGIT_WIDTH * len(_tick(power)) / 2
        place = self.place(1 << power)
        return (not self.start or place - half >= self.start) and (not self.apart or place + half <= self.end)


def _tick(power: int) -> str:
    return f"{1 << power % 10} {byte_unit(power // 10)}"


def _limits(points: Sequence[ScatterPoint]) -> tuple[float, float]:
    low = min(point.accuracy - point.deviation for point in points)
    high = max(point.accuracy + point.deviation for point in points)
    room = max(0.06 * (high - low), 1.0)
    return max(0.0, low) - room, min(100.0, high) + room


def _dress(axes: Axes, palette: Palette, scale: _Scale, *, y_label: str) -> None:
    dress(axes, palette, x_label="Kept from task to task, without MR modules", y_label=y_label)
    axes.xaxis.labelpad = 10
    ticks = [(scale.place(1 << power), _tick(power)) for power in scale.ticks if scale.has_room(power)]
    strips = [(scale.start, scale.place(0), "nothing\nkept")] if scale.start else []
    strips += [(edges[0], scale.place(strip), strip.value) for strip, edges in scale.apart.items()]
    for edge, middle, name in strips:
        ticks.append((middle, name))
        axes.axvline(edge, color=palette.ink, alpha=0.45, linewidth=1, linestyle=(0, (1, 2.5)))
    axes.set_xticks([place for place, _ in ticks], [name for _, name in ticks], linespacing=1.45)
    axes.tick_params(axis="x", pad=7)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}" if 0 <= value <= 100 else ""))
    axes.axhline(axes.get_ylim()[0], color=palette.ink, alpha=0.7, linewidth=1, clip_on=False)


def _draw_budget(axes: Axes, palette: Palette, place: float) -> None:
    axes.axvline(place, color=palette.ink, alpha=0.6, linewidth=1.2, linestyle=(0, (5, 2.5)), zorder=1)
    side = "right" if place > _AREA[0] * 0.8 else "left" if place < _AREA[0] * 0.2 else "center"
    across = axes.get_xaxis_transform()
    axes.text(place, 1.02, "budget", transform=across, ha=side, va="bottom", color=palette.ink)


def _draw_point(axes: Axes, palette: Palette, place: float, point: ScatterPoint) -> Line2D:
    axes.plot(
        (place, place),
        (point.accuracy - point.deviation, point.accuracy + point.deviation),
        color=_colour(palette, point.look),
        linewidth=1.6,
        solid_capstyle="butt",
        zorder=3,
    )
    over = 5 if point.look == "baseline" or isinstance(point.look, LineStyle) else 4
    look = _marker(palette, point.look)
    label = f"{point.label}  {point.name}"
    return axes.plot((place,), (point.accuracy,), label=label, clip_on=False, zorder=over, **look)[0]


def _colour(palette: Palette, look: Look | LineStyle) -> str:
    if isinstance(look, LineStyle):
        return palette.series[look.colour]
    return palette.ink if look == "published" else palette.series[1 if look == "baseline" else 0]


def _marker(palette: Palette, look: Look | LineStyle) -> dict[str, Any]:
    if isinstance(look, LineStyle):
        return {"linestyle": "", **look.markers(palette, size=8.5)}
    hollow = look in ("out-of-rules", "published")
    return {
        "linestyle": "",
        "marker": {"baseline": "s", "published": "D"}.get(look, "o"),
        "markersize": 5.5 if look == "published" else 7.5,
        "markerfacecolor": palette.paper if hollow else _colour(palette, look),
        "markeredgecolor": _colour(palette, look) if hollow else palette.paper,
        "markeredgewidth": {"out-of-rules": 1.7, "published": 1.1}.get(look, 0.9),
    }


def _draw_labels(axes: Axes, palette: Palette, scale: _Scale, points: Sequence[ScatterPoint]) -> None:
    low, high = map(float, axes.get_ylim())
    unit = _AREA[1] / (high - low)
    spots = [(scale.place(point.kept), (point.accuracy - low) * unit) for point in points]
    size = _DIGIT_WIDTH * max(len(point.label) for point in points) + _LABEL_SPACE, _LABEL_HEIGHT
    line = {"arrowstyle": "-", "color": palette.ink, "alpha": 0.5, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 4}
    for point, spot, middle in zip(points, spots, place_labels(spots, size, area=_AREA), strict=True):
        x, y = map(float, middle)
        axes.annotate(
            point.label,
            (spot[0], point.accuracy),
            (x, low + y / unit),
            ha="center",
            va="center_baseline",
            color=palette.ink,
            zorder=2,
            arrowprops=line if math.dist(spot, (x, y)) > _LINE_FROM else None,
        )


def place_labels(points: Sequence[Place], size: Place, *, area: Place) -> Float[np.ndarray, "points 2"]:
    """Return the middle of each label, inside the area, left or right of its point; none covers another, or a point.

    Each point takes the nearest place that is free; labels of a crowd come to stand in columns on both sides of it.
    Then they trade places so that the lines from points to labels are as short as can be in all: such lines do not
    cross.

    Args:
        points: x and y of each.
        size: width and height of a label.
        area: width and height of the drawing, whose corner is (0, 0).
    """
    # Takes a while to import, and only charts of several methods need it.
    from scipy.optimize import linear_sum_assignment

    spots, box, sheet = np.array(points, float), np.array(size), np.array(area)
    offsets = _offsets(box[0])
    places = np.zeros((0, 2))
    apart = np.linalg.norm(spots[:, None] - spots, axis=2)
    # From the middle of a crowd outwards, so that its columns stand level with it.
    order = np.argsort(-np.exp(-((apart / _NEAR) ** 2)).sum(axis=1), kind="stable")
    for spot in spots[order]:
        around = spot + offsets
        around = around[((around >= box / 2) & (around <= sheet - box / 2)).all(axis=1)]
        free = _apart(around, spots, (box + _MARKER_SIZE) / 2) & _apart(around, places, box)
        places = np.vstack([places, around[free.argmax()]])
    lengths = np.linalg.norm(spots[:, None] - places, axis=2)
    chosen: Float[np.ndarray, "points 2"] = places[linear_sum_assignment(lengths)[1]]
    return chosen


def _offsets(width: float) -> Float[np.ndarray, "offsets 2"]:
    """Return steps from a point to places beside it, the best first: to go up or down is better than to go away."""
    beside = (width + _MARKER_SIZE) / 2 + _GAP + np.arange(0, _REACH / 2, 3 * _STEP)
    steps = np.stack(np.meshgrid(np.concatenate([beside, -beside]), np.arange(-_REACH, _REACH + 1, _STEP)), axis=-1)
    steps = steps.reshape(-1, 2)
    cost = 3 * np.abs(steps[:, 0]) + np.abs(steps[:, 1])
    ordered: Float[np.ndarray, "offsets 2"] = steps[np.argsort(cost, kind="stable")]
    return ordered


def _apart(around: np.ndarray, others: np.ndarray, least: np.ndarray) -> np.ndarray:
    """Whether each place is so far from all others, across or along."""
    free: np.ndarray = (np.abs(around[:, None] - others) >= least).any(axis=2).all(axis=1)
    return free
