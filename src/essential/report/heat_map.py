"""Shares as shaded squares: what was taken for what, or how well each task is known after each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.figure import Figure

from essential.report.axes import Sheet
from essential.report.drawing import CELL, Drawing, Palette
from essential.report.formats import percent, shortened

RIGHT = (24, 122, 153)
WRONG = (201, 84, 16)
"""In the middle between light and dark: on a page the shades are an image, which cannot follow its colours."""
_SHEET = Sheet(width=560, height=482, left=150, top=8, bottom=64)
_NAME_LENGTH = 19
_SMALL = 11
_TEXTS = 12
_LEVELS = 24
_TINY_FROM = 60
_LEAST, _MOST = 0.12, 0.87
MOST_BEHIND_TEXT = 0.65
"""Opacity of a cell that a number stands in, so that it can be read in light and dark."""


@dataclass(frozen=True)
class HeatMap(Drawing):
    """Cells from 0 to 1 by row and column, None = empty; the diagonal has the colour of what is right.

    Attributes:
        labels: x and y.
        rows: the tick labels of rows: (first row, last row, name).
        columns: those of columns.
        edges: before which columns and rows a line separates tasks.
        beside_diagonal: whether a cell off the diagonal counts what was right or what was wrong.
    """

    name: str
    labels: tuple[str, str]
    cells: Sequence[Sequence[float | None]]
    rows: Sequence[tuple[int, int, str]]
    columns: Sequence[tuple[int, int, str]]
    edges: Sequence[int] = ()
    beside_diagonal: Literal["right", "wrong"] = "wrong"

    def draw(self, palette: Palette) -> Figure:
        figure, axes = _SHEET.plot()
        high, wide = len(self.cells), len(self.cells[0])
        axes.imshow(
            _shades(
                self.cells,
                RIGHT if self.beside_diagonal == "right" else WRONG,
                most=MOST_BEHIND_TEXT if wide <= _TEXTS else _MOST,
            ),
            interpolation="none",
            aspect="auto",
            extent=(0, wide, high, 0),
        )
        if wide <= _TEXTS:
            for row, values in enumerate(self.cells):
                for column, value in enumerate(values):
                    if value is not None and (value or self.beside_diagonal == "right"):
                        place = (column + 0.5, row + 0.5)
                        cell = axes.text(*place, percent(value), ha="center", va="center", color=palette.ink)
                        cell.set(fontsize=_SMALL, gid=None if palette.alone else CELL)
        width = 0.8 if len(self.edges) <= _TEXTS else 0.3
        for edge in self.edges:
            axes.axhline(edge, color=palette.ink, alpha=0.25, linewidth=width)
            axes.axvline(edge, color=palette.ink, alpha=0.25, linewidth=width)
        axes.set_xticks([(a + b + 1) / 2 for a, b, _ in self.columns], [name for *_, name in self.columns])
        axes.set_yticks(
            [(a + b + 1) / 2 for a, b, _ in self.rows], [shortened(name, _NAME_LENGTH) for *_, name in self.rows]
        )
        axes.set_xlabel(self.labels[0], labelpad=8, color=palette.ink)
        axes.set_ylabel(self.labels[1], labelpad=8, color=palette.ink)
        axes.tick_params(length=0, pad=6, labelcolor=palette.ink, labelsize=_SMALL)
        for side in axes.spines.values():
            side.set(color=palette.ink, alpha=0.4, linewidth=0.8)
        return figure


def _shades(
    cells: Sequence[Sequence[float | None]], beside_diagonal: tuple[int, int, int], *, most: float
) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    """Return the picture: how opaque a cell is, `most` at most, tells its share. Few levels: the file stays small."""
    shares = np.array([[0.0 if value is None else value for value in row] for row in cells])
    # The root lifts the small shares, which would be lost beside a few large ones; the more so where cells are tiny.
    lifted = np.round(shares ** (0.5 if len(cells) <= _TINY_FROM else 0.3) * _LEVELS) / _LEVELS
    opacity = np.where(shares > 0, _LEAST + (most - _LEAST) * lifted, 0.0)
    picture = np.zeros((*shares.shape, 4), np.uint8)
    picture[..., 3] = np.round(255 * opacity)
    picture[..., :3] = np.where((opacity > 0)[..., None], beside_diagonal, 0)
    diagonal = np.arange(min(shares.shape))
    picture[diagonal, diagonal, :3] = RIGHT
    return picture
