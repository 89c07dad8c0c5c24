"""Memory by kind as stacked bars: over the tasks of a run, or of runs below each other."""

from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.container import BarContainer

from essential.records import MemoryBytes
from essential.report.drawing import Drawing, Drawn, Palette, Sheet, count_ticks, dress
from essential.report.formats import byte_power, byte_unit, shortened
from essential.report.run_view import KINDS

_SHEET = Sheet(width=480, height=270)
_ROW = 26
_NAME_LENGTH = 22


def memory_over_tasks(name: str, memories: Sequence[MemoryBytes]) -> Drawing:
    """Return a drawing with one bar per task learned."""

    def draw(palette: Palette) -> Drawn:
        figure, axes = _SHEET.plot()
        power = byte_power(max(memory.total for memory in memories))
        most, keys = _stack(axes.bar, range(1, len(memories) + 1), memories, palette, power=power)
        count_ticks(axes, len(memories))
        dress(axes, palette, x_label="Tasks learned", y_label=f"Memory, {byte_unit(power)}")
        axes.set_ylim(0, 1.06 * most or 1.0)
        axes.axhline(0, color=palette.ink, alpha=0.7, linewidth=1)
        return figure, keys

    return Drawing(name, draw)


def memory_of_runs(name: str, memories: Sequence[tuple[str, MemoryBytes]]) -> Drawing:
    """Return one bar per run, lying, from the first run down; drawn for files alone: the page has bars of its own."""

    def draw(palette: Palette) -> Drawn:
        count = len(memories)
        figure, axes = Sheet(width=480, height=58 + _ROW * count, left=150).plot()
        power = byte_power(max(memory.total for _, memory in memories))
        most, keys = _stack(axes.barh, range(count), [memory for _, memory in memories], palette, power=power)
        dress(axes, palette, x_label=f"Memory after the last task, {byte_unit(power)}", y_label="")
        axes.set_yticks(range(count), [shortened(label, _NAME_LENGTH) for label, _ in memories])
        axes.set(ylim=(count - 0.5, -0.5), xlim=(0, 1.04 * most or 1.0))
        axes.grid(visible=False)
        return figure, keys

    return Drawing(name, draw)


def _stack(
    draw: Callable[..., BarContainer], places: range, memories: Sequence[MemoryBytes], palette: Palette, *, power: int
) -> tuple[float, list[Any]]:
    """Draw a bar of all kinds, one behind the other, for each memory; return the longest bar's end, and a key a kind.

    The last kind is hatched: on a page by its pattern, in a file by matplotlib's.
    """
    ends, keys = [0.0] * len(memories), []
    for kind, title, colour in zip(KINDS, KINDS.values(), palette.kinds, strict=True):
        sizes = [getattr(memory, kind) / 1024**power for memory in memories]
        look: dict[str, Any] = {"facecolor": colour}
        if palette.alone and colour == palette.kinds[-1]:
            look = {"facecolor": palette.paper, "edgecolor": colour, "hatch": "//"}
        if any(sizes):
            keys.append(draw(places, sizes, 0.7, ends, label=title, linewidth=0, zorder=2, **look))
        ends = [end + size for end, size in zip(ends, sizes, strict=True)]
    return max(ends), keys
