"""How a run or method is drawn, everywhere on a page: its colour, marker and dashes."""

from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from essential.report.drawing import Drawing, Drawn, Palette

Dashes = str | tuple[int, tuple[float, ...]]
SWATCH_WIDTH, SWATCH_HEIGHT = 36, 14
_COLOURS = 8
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_DASHES: tuple[Dashes, ...] = ("solid", (0, (5.0, 1.8)), (0, (1.3, 1.5)), (0, (6.0, 1.6, 1.3, 1.6)))


@dataclass(frozen=True)
class LineStyle:
    """The look of a line. `number` counts from 0; the first 64 all differ. `hollow` markers are of another reading."""

    number: int
    hollow: bool = False

    @property
    def swatch(self) -> str:
        """The identifier of its drawing on a page; lines of one style share it."""
        return f"line-{self.number + 1}" + ("-hollow" if self.hollow else "")

    @property
    def colour(self) -> int:
        return self.number % _COLOURS

    @property
    def marker(self) -> str:
        return _MARKERS[(self.number + self.number // _COLOURS) % len(_MARKERS)]

    @property
    def dashes(self) -> Dashes:
        return _DASHES[self.number % len(_DASHES)]

    def line(self, palette: Palette) -> dict[str, Any]:
        """Return matplotlib's settings of the line."""
        return {
            "color": palette.series[self.colour],
            "linestyle": self.dashes,
            "linewidth": 1.9,
            "clip_on": False,
            "zorder": 3,
        }

    def markers(self, palette: Palette, *, size: float) -> dict[str, Any]:
        """Return matplotlib's settings of the markers."""
        colour = palette.series[self.colour]
        return {
            "marker": self.marker,
            "markersize": size * (1.4 if self.marker == "*" else 1),
            "markerfacecolor": palette.paper if self.hollow else colour,
            "markeredgecolor": colour if self.hollow else palette.paper,
            "markeredgewidth": 1.7 if self.hollow else 0.9,
        }

    @property
    def drawing(self) -> Drawing:
        """A short piece of the line with its marker, for legends and tables of a page."""
        return Drawing(self.swatch, self._draw)

    def _draw(self, palette: Palette) -> Drawn:
        figure = Figure(figsize=(SWATCH_WIDTH / 72, SWATCH_HEIGHT / 72))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set(xlim=(0, 2), ylim=(-1, 1))
        axes.plot((0, 2), (0, 0), **self.line(palette))
        axes.plot((1,), (0,), **self.line(palette), **self.markers(palette, size=7.5))
        return figure, ()
