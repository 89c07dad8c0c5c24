"""Many small marks in one path: a drawing of a thousand points stays small."""

from collections.abc import Sequence
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.path import Path

Mark = Literal["dot", "cross", "triangle"]
_STROKES: dict[Mark, tuple[tuple[tuple[float, float], ...], ...]] = {
    # A line of no length with round ends.
    "dot": (((0, 0), (0, 0)),),
    "cross": (((-2.6, -2.6), (2.6, 2.6)), ((-2.6, 2.6), (2.6, -2.6))),
    "triangle": (((0, 3.6), (3.2, -2.2), (-3.2, -2.2), (0, 3.6)),),
}
_WIDTHS: dict[Mark, float] = {"dot": 5.0, "cross": 1.3, "triangle": 1.3}


def draw_dots(axes: Axes, places: Sequence[tuple[float, float]], mark: Mark, *, colour: str) -> None:
    """Draw a mark at each place; the plot must count in points both ways."""
    strokes = [[(x + dx, y + dy) for dx, dy in stroke] for x, y in places for stroke in _STROKES[mark]]
    _draw(axes, strokes, colour=colour, width=_WIDTHS[mark], alpha=0.85)


def draw_links(axes: Axes, links: Sequence[tuple[tuple[float, float], tuple[float, float]]], *, colour: str) -> None:
    """Draw thin lines between pairs of places."""
    _draw(axes, [list(link) for link in links], colour=colour, width=0.6, alpha=0.35)


def _draw(axes: Axes, strokes: Sequence[list[tuple[float, float]]], *, colour: str, width: float, alpha: float) -> None:
    if not strokes:
        return
    vertices = [vertex for stroke in strokes for vertex in stroke]
    codes = [code for stroke in strokes for code in (Path.MOVETO, *[Path.LINETO] * (len(stroke) - 1))]
    look = {"edgecolor": colour, "linewidth": width, "alpha": alpha, "capstyle": "round", "joinstyle": "round"}
    axes.add_artist(PathPatch(Path(vertices, codes), facecolor="none", clip_on=False, **look))
