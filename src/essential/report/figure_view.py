"""A figure as the page shows it, and the same in files: its drawing, its words and its numbers."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from essential.report.drawing import Drawing, inline_svg
from essential.shown import plain_cell

Cell = str | int | float | None


@dataclass(frozen=True)
class NumberRow:
    """A row of the table below a figure: its name, its line's swatch if it has one, and the cells as shown."""

    name: str
    cells: Sequence[str]
    swatch: str | None = None


@dataclass(frozen=True)
class Numbers:
    """The table below a figure."""

    columns: Sequence[str]
    rows: Sequence[NumberRow]


@dataclass(frozen=True)
class Data:
    """A figure's numbers, unrounded, for programs."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    def as_csv(self) -> str:
        """Return the text of a CSV file; what is not known is left empty."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(map(plain_cell, row) for row in self.rows)
        return text.getvalue()


@dataclass(frozen=True, eq=False)
class FigureView:
    """A figure.

    Attributes:
        title: what it shows; its files are named by it.
        note: how it is to be read, for the caption.
        description: its message in words, for those who do not see it.
        drawing: its lines and marks.
        data: all its numbers.
        numbers: those that stand below it on the page, if any.
        legend: the swatch and the name of each of its lines, where they are not those of its section.
    """

    title: str
    note: str
    description: str
    drawing: Drawing
    data: Data
    numbers: Numbers | None = None
    legend: Sequence[tuple[str, str]] = ()

    @cached_property
    def svg(self) -> str:
        return inline_svg(self.drawing)
