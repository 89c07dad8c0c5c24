"""Shares as shaded squares: what was taken for what, or how well each task is known after each."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes

from essential.report.drawing import CELL, Drawing, Drawn, Palette, Sheet
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
Cells = Sequence[Sequence[float | None]]
Ticks = Sequence[tuple[int, int, str]]
"""The labels of an axis: the first and the last place of each, and its name."""


def heat_map(
    name: str,
    cells: Cells,
    *,
    labels: tuple[str, str],
    ticks: tuple[Ticks, Ticks],
    edges: Sequence[int] = (),
    beside_diagonal: Literal["right", "wrong"] = "wrong",
) -> Drawing:
    """Return a drawing of cells from 0 to 1, None = empty; the diagonal has the colour of what is right.

    Args:
        name: unique on the page.
        cells: by row.
        labels: of x and y.
        ticks: of columns and rows.
        edges: before which columns and rows a line separates tasks.
        beside_diagonal: whether a cell off the diagonal counts what was right or what was wrong.
    """
    high, wide = len(cells), len(cells[0])
    colour, most = RIGHT if beside_diagonal == "right" else WRONG, MOST_BEHIND_TEXT if wide <= _TEXTS else _MOST

    def draw(palette: Palette) -> Drawn:
        figure, axes = _SHEET.plot()
        shades = _shades(cells, colour, most=most)
        axes.imshow(shades, interpolation="none", aspect="auto", extent=(0, wide, high, 0))
        if wide <= _TEXTS:
            _write_shares(axes, palette, cells, with_zeros=beside_diagonal == "right")
        width = 0.8 if len(edges) <= _TEXTS else 0.3
        for edge in edges:
            axes.axhline(edge, color=palette.ink, alpha=0.25, linewidth=width)
            axes.axvline(edge, color=palette.ink, alpha=0.25, linewidth=width)
        for axis, label, spans in zip((axes.xaxis, axes.yaxis), labels, ticks, strict=True):
            names = [shortened(each, _NAME_LENGTH) for *_, each in spans]
            axis.set_ticks([(first + last + 1) / 2 for first, last, _ in spans], names)
            axis.set_label_text(label, color=palette.ink)
            axis.labelpad = 8
        axes.tick_params(length=0, pad=6, labelcolor=palette.ink, labelsize=_SMALL)
        for side in axes.spines.values():
            side.set(color=palette.ink, alpha=0.4, linewidth=0.8)
        return figure, ()

    return Drawing(name, draw)


def _write_shares(axes: Axes, palette: Palette, cells: Cells, *, with_zeros: bool) -> None:
    for row, values in enumerate(cells):
        for column, value in enumerate(values):
            if value is not None and (value or with_zeros):
                place = (column + 0.5, row + 0.5)
                cell = axes.text(*place, percent(value), ha="center", va="center", color=palette.ink)
                cell.set(fontsize=_SMALL, gid=None if palette.alone else CELL)


def _shades(
    cells: Cells, beside_diagonal: tuple[int, int, int], *, most: float
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
