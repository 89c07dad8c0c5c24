"""Memory by kind as stacked bars: over the tasks of a run, or of runs below each other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from essential.records import MemoryBytes
from essential.report.axes import Sheet, count_ticks, dress
from essential.report.drawing import Drawing, Palette
from essential.report.formats import byte_power, byte_unit, shortened
from essential.report.run_view import KINDS

_SHEET = Sheet(width=480, height=270)
_ROW = 26
_NAME_LENGTH = 22


@dataclass(frozen=True)
class MemoryOverTasks(Drawing):
    """One bar per task learned."""

    name: str
    memories: Sequence[MemoryBytes]

    def draw(self, palette: Palette) -> Figure:
        figure, axes = _SHEET.plot()
        power = byte_power(max(memory.total for memory in self.memories))
        most = _stack(axes.bar, range(1, len(self.memories) + 1), self.memories, palette, power=power)
        count_ticks(axes, len(self.memories))
        dress(axes, palette, x_label="Tasks learned", y_label=f"Memory, {byte_unit(power)}")
        axes.set_ylim(0, 1.06 * most or 1.0)
        axes.axhline(0, color=palette.ink, alpha=0.7, linewidth=1)
        return figure

    def keys(self, palette: Palette) -> list[Artist]:
        return _keys(palette, self.memories)


@dataclass(frozen=True)
class MemoryOfRuns(Drawing):
    """One bar per run, lying, from the first run down; drawn for files alone: the page has bars of its own."""

    name: str
    memories: Sequence[tuple[str, MemoryBytes]]

    def draw(self, palette: Palette) -> Figure:
        count = len(self.memories)
        figure, axes = Sheet(width=480, height=58 + _ROW * count, left=150).plot()
        power = byte_power(max(memory.total for _, memory in self.memories))
        most = _stack(axes.barh, range(count), [memory for _, memory in self.memories], palette, power=power)
        dress(axes, palette, x_label=f"Memory after the last task, {byte_unit(power)}", y_label="")
        axes.set_yticks(range(count), [shortened(name, _NAME_LENGTH) for name, _ in self.memories])
        axes.set(ylim=(count - 0.5, -0.5), xlim=(0, 1.04 * most or 1.0))
        axes.grid(visible=False)
        return figure

    def keys(self, palette: Palette) -> list[Artist]:
        return _keys(palette, [memory for _, memory in self.memories])


def _stack(
    draw: Callable[..., Any], places: range, memories: Sequence[MemoryBytes], palette: Palette, *, power: int
) -> float:
    """Draw a bar of all kinds, one behind the other, for each memory, and return how far the longest reaches."""
    ends = [0.0] * len(memories)
    for number, kind in enumerate(KINDS):
        sizes = [getattr(memory, kind) / 1024**power for memory in memories]
        if any(sizes):
            draw(places, sizes, 0.7, ends, **_look(palette, number))
        ends = [end + size for end, size in zip(ends, sizes, strict=True)]
    return max(ends)


def _look(palette: Palette, number: int) -> dict[str, Any]:
    """The last kind is hatched: on a page by its pattern, in a file by matplotlib's."""
    last = number == len(KINDS) - 1
    look: dict[str, Any] = {"linewidth": 0, "facecolor": palette.kinds[number], "zorder": 2}
    if palette.alone and last:
        look |= {"facecolor": palette.paper, "edgecolor": palette.kinds[number], "hatch": "//"}
    return look


def _keys(palette: Palette, memories: Sequence[MemoryBytes]) -> list[Artist]:
    return [
        Patch(label=title, **_look(palette, number))
        for number, (kind, title) in enumerate(KINDS.items())
        if any(getattr(memory, kind) for memory in memories)
    ]
