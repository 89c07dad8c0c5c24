"""Accuracy against kept bytes: a scatter chart as inline SVG, its points numbered.

The bytes' axis is logarithmic and has no place for 0, nor for the videos themselves, which are not counted in bytes:
both get a strip of their own, apart from the scale.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from essential.report.formats import byte_unit
from essential.report.label_places import place_labels
from essential.report.svg import INK, PAPER, SERIES, own_settings, to_inline_svg

WIDTH, HEIGHT = 480, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 26, 74
_AREA = (float(WIDTH - _LEFT - _RIGHT), float(HEIGHT - _TOP - _BOTTOM))
_STRIP = 62.0
_LABEL_HEIGHT, _DIGIT_WIDTH, _LABEL_SPACE = 16.0, 10.2, 4.0
"""Of a page as narrow as a phone, where letters are the largest against the drawing."""
_TICKS = 4
_LINE_FROM = 20.0

Look = Literal["baseline", "in-rules", "out-of-rules"]


@dataclass(frozen=True)
class ScatterPoint:
    """A method: its number, accuracy and deviation in percent, and kept bytes; None = all videos."""

    number: int
    accuracy: float
    deviation: float
    kept_bytes: int | None
    look: Look


@dataclass(frozen=True)
class ScatterChart:
    """At least one point. `name` must be unique on the page; `budget_bytes` is drawn as a line."""

    name: str
    points: Sequence[ScatterPoint]
    budget_bytes: int | None


def draw_scatter(chart: ScatterChart) -> str:
    """Return the chart as an `<svg>` element."""
    scale = _Scale.of(chart)
    with own_settings(chart.name):
        figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72))
        axes = figure.add_axes((_LEFT / WIDTH, _BOTTOM / HEIGHT, _AREA[0] / WIDTH, _AREA[1] / HEIGHT))
        low, high = _limits(chart.points)
        axes.set(xlim=(0, _AREA[0]), ylim=(low, high))
        _dress(axes, scale)
        _draw_budget(axes, scale, chart.budget_bytes)
        for point in chart.points:
            _draw_point(axes, scale.place(point.kept_bytes), point)
        _draw_numbers(axes, scale, chart.points)
        return to_inline_svg(figure)


@dataclass(frozen=True)
class _Scale:
    """Where bytes lie across the plot: powers of two from `low` to `high` between `start` and `end`."""

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def of(cls, chart: ScatterChart) -> "_Scale":
        kept = [point.kept_bytes for point in chart.points]
        counts = [*(count for count in kept if count), *([chart.budget_bytes] if chart.budget_bytes else [])]
        powers = [math.log2(count) for count in counts] or [10.0, 20.0]
        room = max(0.06 * (max(powers) - min(powers)), 0.75)
        start = _STRIP if 0 in kept else 0.0
        end = _AREA[0] - (_STRIP if None in kept else 0.0)
        return cls(min(powers) - room, max(powers) + room, start, end)

    def place(self, kept_bytes: int | None) -> float:
        """Return where bytes lie, in points from the left."""
        if kept_bytes is None:
            return (self.end + _AREA[0]) / 2
        if kept_bytes == 0:
            return self.start / 2
        return self.start + (math.log2(kept_bytes) - self.low) / (self.high - self.low) * (self.end - self.start)

    @property
    def ticks(self) -> list[int]:
        """Whole powers of two, evenly spaced, at most `_TICKS` where a step of 10 suffices."""
        for step in (1, 2, 3, 5, 10):
            powers = range(math.ceil(self.low / step) * step, math.floor(self.high) + 1, step)
            if len(powers) <= _TICKS:
                break
        return [power for power in powers if power >= 0]


def _limits(points: Sequence[ScatterPoint]) -> tuple[float, float]:
    low = min(point.accuracy - point.deviation for point in points)
    high = max(point.accuracy + point.deviation for point in points)
    room = max(0.06 * (high - low), 1.0)
    return max(0.0, low) - room, min(100.0, high) + room


def _dress(axes: Axes, scale: _Scale) -> None:
    ticks = [(scale.place(1 << power), f"{1 << power % 10} {byte_unit(power // 10)}") for power in scale.ticks]
    strips = [(scale.start > 0, scale.place(0), scale.start, "nothing\nkept")]
    strips += [(scale.end < _AREA[0], scale.place(None), scale.end, "all\nvideos")]
    for present, middle, edge, name in strips:
        if present:
            ticks.append((middle, name))
            axes.axvline(edge, color=INK, alpha=0.45, linewidth=1, linestyle=(0, (1, 2.5)))
    axes.set_xticks([place for place, _ in ticks], [name for _, name in ticks])
    axes.set_xlabel("Kept from task to task, without MR modules", labelpad=10, color=INK)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}" if 0 <= value <= 100 else ""))
    axes.grid(axis="y", color=INK, alpha=0.14, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, pad=7, labelcolor=INK)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.axhline(axes.get_ylim()[0], color=INK, alpha=0.7, linewidth=1, clip_on=False)


def _draw_budget(axes: Axes, scale: _Scale, budget_bytes: int | None) -> None:
    if budget_bytes is None:
        return
    place = scale.place(budget_bytes)
    axes.axvline(place, color=INK, alpha=0.6, linewidth=1.2, linestyle=(0, (5, 2.5)), zorder=1)
    side = "right" if place > _AREA[0] * 0.8 else "left" if place < _AREA[0] * 0.2 else "center"
    axes.text(place, 1.02, "budget", transform=axes.get_xaxis_transform(), ha=side, va="bottom", color=INK)


def _draw_point(axes: Axes, place: float, point: ScatterPoint) -> None:
    colour = SERIES.format(1 if point.look == "baseline" else 0)
    axes.plot(
        (place, place),
        (point.accuracy - point.deviation, point.accuracy + point.deviation),
        color=colour,
        linewidth=1.6,
        solid_capstyle="butt",
        zorder=3,
    )
    axes.plot(
        (place,),
        (point.accuracy,),
        marker="s" if point.look == "baseline" else "o",
        markersize=7.5,
        markerfacecolor=PAPER if point.look == "out-of-rules" else colour,
        markeredgecolor=colour if point.look == "out-of-rules" else PAPER,
        markeredgewidth=1.7 if point.look == "out-of-rules" else 0.9,
        clip_on=False,
        zorder=5 if point.look == "baseline" else 4,
    )


def _draw_numbers(axes: Axes, scale: _Scale, points: Sequence[ScatterPoint]) -> None:
    low, high = map(float, axes.get_ylim())
    unit = _AREA[1] / (high - low)
    spots = [(scale.place(point.kept_bytes), (point.accuracy - low) * unit) for point in points]
    names = [str(point.number) for point in points]
    boxes = place_labels(
        spots, [(_DIGIT_WIDTH * len(name) + _LABEL_SPACE, _LABEL_HEIGHT) for name in names], area=_AREA
    )
    for name, spot, box in zip(names, spots, boxes, strict=True):
        axes.text(box.x, low + box.y / unit, name, ha="center", va="center_baseline", color=INK, zorder=6)
        length = math.dist(spot, (box.x, box.y))
        if length > _LINE_FROM:
            # The line ends where the number begins.
            share = 1 - (box.width / 2 + 1) / length
            end = [start + share * (stop - start) for start, stop in zip(spot, (box.x, box.y), strict=True)]
            heights = (low + spot[1] / unit, low + end[1] / unit)
            axes.plot((spot[0], end[0]), heights, color=INK, alpha=0.5, linewidth=0.8, zorder=2)
