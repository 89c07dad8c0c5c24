"""Tables in the terminal; beside `terminal`, as rich takes its time to import."""

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table

from essential.cli.terminal import say
from essential.results.formats import NBSP, human_bytes
from essential.shown import printable_lines

_UNBOUNDED = 10_000


class Terminal(Console):
    """A console that prints its own control characters and none of a text; `[x]` in a text is no markup."""

    def __init__(self, *, stderr: bool = False, width: int | None = None) -> None:
        super().__init__(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the parts of what is printed."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else printable_lines(text), style, control)


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str | None = None, names: int = 1
) -> None:
    """Print a table of `names` columns of text and others of numbers. No cell is cut.

    Columns that do not fit into a terminal stand below the others, beside the names again; a file has no width.
    """
    console = Terminal()
    wide = Terminal(width=_UNBOUNDED)
    width = console.width if console.is_terminal else _UNBOUNDED
    if title:
        say(title)
    left = range(names, len(columns))
    while left:
        count = len(left)
        while count > 1 and wide.measure(_table(columns, rows, names, left[:count])).maximum > width:
            count -= 1
        wide.print(_table(columns, rows, names, left[:count]))
        left = left[count:]


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]], names: int, numbers: range) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    places = [*range(names), *numbers]
    for place in places:
        table.add_column(columns[place], justify="right" if place in numbers else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(str(row[place]) for place in places))
    return table


def fraction(value: float | None) -> str:
    """Return a fraction with three digits, or a dash where it is undefined."""
    return "-" if value is None else f"{value:.3f}"


def size(count: int) -> str:
    """Return bytes in the unit that suits them."""
    return human_bytes(count).replace(NBSP, " ")
