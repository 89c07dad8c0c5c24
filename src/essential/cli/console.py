"""Tables and bars in the terminal; beside `terminal`, as rich takes its time to import."""

from collections.abc import Iterable, Sequence

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Column, Table

from essential.shown import printable_lines


class Terminal(Console):
    """A console whose own controls pass, and those in texts do not; nor is `[x]` in a text an instruction."""

    def __init__(self, *, stderr: bool = False, width: int | None = None) -> None:
        super().__init__(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the parts of what is printed."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else printable_lines(text), style, control)


def table_of(first: str, numbers: Sequence[str], *, title: str | None = None) -> Table:
    """Return a table of one column for names and others for numbers."""
    return Table(first, *(Column(name, justify="right") for name in numbers), title=title, title_justify="left")
