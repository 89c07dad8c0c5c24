"""Line charts over counts, with bands where several seeds stand behind a line."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from essential.report.drawing import Drawing, Drawn, Palette, Sheet, count_ticks, dress
from essential.report.line_style import LineStyle

_SHEET = Sheet(width=480, height=270)
_FEW = 4


@dataclass(frozen=True)
class Band:
    """A mean over seeds, the least and greatest of them, the same where there is one, and how many they are."""

    mean: float
    least: float
    greatest: float
    seeds: int = 1


@dataclass(frozen=True)
class ChartLine:
    """One line: its value at each place; None leaves a gap."""

    label: str
    style: LineStyle
    points: Mapping[int, Band | None]


def line_chart(
    name: str, lines: Sequence[ChartLine], *, axes: tuple[str, str], limits: tuple[float, float] | None = None
) -> Drawing:
    """Return a drawing of lines over whole numbers from 1, at least one of them with a place.

    `name` must be unique on the page, and `axes` names x and y. `limits` fixes the y axis; without it the axis fits
    the values and zero.
    """

    def draw(palette: Palette) -> Drawn:
        figure, plot = _SHEET.plot()
        longest = max(place for line in lines for place in line.points)
        alpha, size = 0.2 if len(lines) <= _FEW else 0.12, 7.5 if longest <= 15 else 5.5
        keys = [_draw_line(plot, palette, line, size=size, alpha=alpha) for line in lines]
        count_ticks(plot, longest)
        dress(plot, palette, x_label=axes[0], y_label=axes[1])
        plot.set_ylim(*(limits or _limits_with_zero(lines)))
        plot.axhline(0, color=palette.ink, alpha=0.7, linewidth=1, zorder=2)
        return figure, keys

    return Drawing(name, draw)


def _draw_line(axes: Axes, palette: Palette, line: ChartLine, *, size: float, alpha: float) -> Line2D:
    """Draw a line, and behind it a band where seeds differ; return the line."""
    places, values = list(line.points), list(line.points.values())
    mean, least, greatest = (
        [math.nan if value is None else float(getattr(value, part)) for value in values]
        for part in ("mean", "least", "greatest")
    )
    if any(value and value.least < value.greatest for value in values):
        colour = palette.series[line.style.colour]
        axes.fill_between(places, least, greatest, color=colour, alpha=alpha, linewidth=0, zorder=1.5)
    look = {**line.style.line(palette), **line.style.markers(palette, size=size)}
    return axes.plot(places, mean, label=line.label, **look)[0]


def _limits_with_zero(lines: Sequence[ChartLine]) -> tuple[float, float]:
    known = [value for line in lines for value in line.points.values() if value is not None]
    low, high = min([0.0, *(value.least for value in known)]), max([0.0, *(value.greatest for value in known)])
    room = 0.08 * (high - low) or 1.0
    return low - room * (low < 0), high + room
