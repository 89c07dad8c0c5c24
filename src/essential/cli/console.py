"""Tables and bars in the terminal; beside `terminal`, as rich takes its time to import."""

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from essential.shown import printable_lines


class Terminal(Console):
    """A console whose own controls pass, and those in texts do not."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the parts of what is printed."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else printable_lines(text), style, control)
