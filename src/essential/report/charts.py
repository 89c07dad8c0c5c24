"""Line charts as inline SVG."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from essential.report.formats import MINUS
from essential.report.svg import INK, PAPER, SERIES, own_settings, to_inline_svg

Dashes = str | tuple[int, tuple[float, ...]]
WIDTH, HEIGHT = 480, 270
SWATCH_WIDTH, SWATCH_HEIGHT = 36, 14
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 12, 46
_COLOURS = 8
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_DASHES: tuple[Dashes, ...] = ("solid", (0, (5.0, 1.8)), (0, (1.3, 1.5)), (0, (6.0, 1.6, 1.3, 1.6)))


@dataclass(frozen=True)
class LineStyle:
    """How one run is drawn, everywhere on the page. `number` counts from 0; the first 64 all differ."""

    number: int

    @property
    def colour(self) -> int:
        return self.number % _COLOURS

    @property
    def marker(self) -> str:
        return _MARKERS[(self.number + self.number // _COLOURS) % len(_MARKERS)]

    @property
    def dashes(self) -> Dashes:
        return _DASHES[self.number % len(_DASHES)]


@dataclass(frozen=True)
class LineChart:
    """One line per run over the task numbers 1, 2, 3, ...; a None leaves a gap.

    `name` must be unique on the page. `limits` fixes the y axis; without it the axis fits the values and zero.
    """

    name: str
    x_label: str
    lines: Sequence[tuple[LineStyle, Sequence[float | None]]]
    limits: tuple[float, float] | None = None


def draw_chart(chart: LineChart) -> str:
    """Return the chart as an `<svg>` element."""
    with own_settings(chart.name):
        figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72))
        axes = figure.add_axes(_plot_area())
        longest = max(len(values) for _, values in chart.lines)
        for style, values in chart.lines:
            numbers = [math.nan if value is None else value for value in values]
            look = {**_line_look(style), **_marker_look(style, size=7.5 if longest <= 15 else 5.5)}
            axes.plot(range(1, len(values) + 1), numbers, **look)
        _dress_x(axes, longest, chart.x_label)
        _dress_y(axes, chart.limits)
        return to_inline_svg(figure)


def draw_swatch(name: str, style: LineStyle) -> str:
    """Return a short piece of a run's line with its marker, for legends and tables."""
    with own_settings(name):
        figure = Figure(figsize=(SWATCH_WIDTH / 72, SWATCH_HEIGHT / 72))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set(xlim=(0, 2), ylim=(-1, 1))
        axes.plot((0, 2), (0, 0), **_line_look(style))
        axes.plot((1,), (0,), **_line_look(style), **_marker_look(style, size=7.5))
        return to_inline_svg(figure)


def _plot_area() -> tuple[float, float, float, float]:
    return _LEFT / WIDTH, _BOTTOM / HEIGHT, 1 - (_LEFT + _RIGHT) / WIDTH, 1 - (_TOP + _BOTTOM) / HEIGHT


def _line_look(style: LineStyle) -> dict[str, Any]:
    return {
        "color": SERIES.format(style.colour),
        "linestyle": style.dashes,
        "linewidth": 1.9,
        "clip_on": False,
        "zorder": 3,
    }


def _marker_look(style: LineStyle, *, size: float) -> dict[str, Any]:
    return {
        "marker": style.marker,
        "markersize": size * (1.4 if style.marker == "*" else 1),
        "markeredgecolor": PAPER,
        "markeredgewidth": 0.9,
    }


def _dress_x(axes: Axes, longest: int, label: str) -> None:
    step = next(step for step in (1, 5, 10, 20, 50, 100, longest) if longest / step <= 13)
    ticks = list(range(1, longest + 1)) if step == 1 else [1, *range(step, longest + 1, step)]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_xlim(0.6, longest + 0.4)
    axes.set_xlabel(label, labelpad=6, color=INK)


def _dress_y(axes: Axes, limits: tuple[float, float] | None) -> None:
    low, high = limits or _limits_with_zero(axes)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("-", MINUS)))
    axes.set_ylim(low, high)
    axes.grid(axis="y", color=INK, alpha=0.14, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.axhline(0, color=INK, alpha=0.7, linewidth=1, zorder=2)
    axes.tick_params(length=0, pad=7, labelcolor=INK)
    axes.tick_params(axis="x", pad=9)
    for side in axes.spines.values():
        side.set_visible(False)


def _limits_with_zero(axes: Axes) -> tuple[float, float]:
    low, high = axes.dataLim.intervaly
    low, high = (min(low, 0.0), max(high, 0.0)) if math.isfinite(low) and math.isfinite(high) else (0.0, 0.0)
    room = 0.08 * (high - low) or 1.0
    return low - room * (low < 0), high + room
