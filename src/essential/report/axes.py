"""What all charts have in common: the place of the plot, its grid and the look of its axes."""

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from essential.report.drawing import Palette


@dataclass(frozen=True)
class Sheet:
    """The size of a drawing and the margins of the plot in it, in points."""

    width: int
    height: int
    left: int = 46
    right: int = 12
    top: int = 12
    bottom: int = 46

    @property
    def area(self) -> tuple[float, float]:
        """Width and height of the plot."""
        return float(self.width - self.left - self.right), float(self.height - self.top - self.bottom)

    def plot(self) -> tuple[Figure, Axes]:
        """Return a figure of this size with one empty plot."""
        figure = Figure(figsize=(self.width / 72, self.height / 72))
        wide, high = self.area
        place = (self.left / self.width, self.bottom / self.height, wide / self.width, high / self.height)
        return figure, figure.add_axes(place)


def dress(axes: Axes, palette: Palette, *, x_label: str, y_label: str) -> None:
    """Give the plot a light grid across, no frame, and labels; that of the y axis stands in the page's caption."""
    axes.set_xlabel(x_label, labelpad=6, color=palette.ink)
    if palette.alone:
        axes.set_ylabel(y_label, labelpad=8, color=palette.ink)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
    axes.grid(axis="y", color=palette.ink, alpha=0.14, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, pad=7, labelcolor=palette.ink)
    axes.tick_params(axis="x", pad=9)
    for side in axes.spines.values():
        side.set_visible(False)


def count_ticks(axes: Axes, longest: int) -> None:
    """Put ticks at whole numbers from 1, at most 13 of them."""
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, longest) if longest / step <= 13)
    ticks = list(range(1, longest + 1)) if step == 1 else [1, *range(step, longest + 1, step)]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_xlim(0.6, longest + 0.4)
