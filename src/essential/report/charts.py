"""Line charts over counts, with bands where several seeds stand behind a line."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from essential.report.axes import Sheet, count_ticks, dress
from essential.report.drawing import Drawing, Palette
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
    """One line: its values, None leaves a gap, and where they lie: at 1, 2, 3, ... unless `places` says otherwise."""

    label: str
    style: LineStyle
    values: Sequence[Band | None]
    places: Sequence[int] = ()

    @property
    def points(self) -> list[tuple[int, Band | None]]:
        """Every place with its value."""
        return list(zip(self.places or range(1, len(self.values) + 1), self.values, strict=True))


@dataclass(frozen=True)
class LineChart(Drawing):
    """Lines over whole numbers from 1, at least one of them with a place.

    `name` must be unique on the page. `limits` fixes the y axis; without it the axis fits the values and zero.
    """

    name: str
    x_label: str
    y_label: str
    lines: Sequence[ChartLine]
    limits: tuple[float, float] | None = None

    def draw(self, palette: Palette) -> Figure:
        figure, axes = _SHEET.plot()
        longest = max(place for line in self.lines for place, _ in line.points)
        for line in self.lines:
            _draw_band(axes, palette, line, alpha=0.2 if len(self.lines) <= _FEW else 0.12)
            _draw_line(axes, palette, line, size=7.5 if longest <= 15 else 5.5)
        count_ticks(axes, longest)
        dress(axes, palette, x_label=self.x_label, y_label=self.y_label)
        axes.set_ylim(*(self.limits or _limits_with_zero(self.lines)))
        axes.axhline(0, color=palette.ink, alpha=0.7, linewidth=1, zorder=2)
        return figure

    def keys(self, palette: Palette) -> list[Artist]:
        return [line.style.key(palette, line.label) for line in self.lines]


def _draw_band(axes: Axes, palette: Palette, line: ChartLine, *, alpha: float) -> None:
    if all(value is None or value.least == value.greatest for value in line.values):
        return
    colour = palette.series[line.style.colour]
    least, greatest = (_numbers(line, part) for part in ("least", "greatest"))
    axes.fill_between(_places(line), least, greatest, color=colour, alpha=alpha, linewidth=0, zorder=1.5)


def _draw_line(axes: Axes, palette: Palette, line: ChartLine, *, size: float) -> None:
    look = {**line.style.line(palette), **line.style.markers(palette, size=size)}
    axes.plot(_places(line), _numbers(line, "mean"), **look)


def _places(line: ChartLine) -> list[int]:
    return [place for place, _ in line.points]


def _numbers(line: ChartLine, part: str) -> list[float]:
    return [math.nan if value is None else float(getattr(value, part)) for value in line.values]


def _limits_with_zero(lines: Sequence[ChartLine]) -> tuple[float, float]:
    known = [value for line in lines for value in line.values if value is not None]
    low, high = min([0.0, *(value.least for value in known)]), max([0.0, *(value.greatest for value in known)])
    room = 0.08 * (high - low) or 1.0
    return low - room * (low < 0), high + room
