"""A figure as the page shows it, and the same in files: its drawing, its words and its numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from essential.report.drawing import Drawing, inline_svg

Cell = str | int | float | None


@dataclass(frozen=True)
class NumberRow:
    """A row of the table below a figure: its name, its line's swatch if it has one, and the cells as shown."""

    name: str
    cells: Sequence[str]
    swatch: str | None = None


@dataclass(frozen=True, eq=False)
class FigureView:
    """A figure.

    Attributes:
        title: what it shows; its files are named by it.
        drawing: its lines and marks.
        data: all its numbers, unrounded, for programs; the first row names the columns. What is not known is None.
        note: how it is to be read, for the caption; nothing where the page has a table in its place.
        description: its message in words, for those who do not see it; likewise.
        numbers: the table that stands below it on the page, if any; the first row names the columns.
        legend: the swatch and the name of each of its lines, where they are not those of its section.
    """

    title: str
    drawing: Drawing
    data: Sequence[Sequence[Cell]]
    note: str = ""
    description: str = ""
    numbers: Sequence[NumberRow] = ()
    legend: Sequence[tuple[str, str]] = ()

    @cached_property
    def svg(self) -> str:
        return inline_svg(self.drawing)
