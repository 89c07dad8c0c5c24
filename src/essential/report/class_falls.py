"""How far the accuracy on each class fell: its best after any task, minus that after the last."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from essential.analysis_record import Analysis
from essential.report.axes import Sheet, dress
from essential.report.drawing import Drawing, Palette
from essential.report.figure_view import Data, FigureView
from essential.report.formats import shortened
from essential.report.run_view import RunView

_DRAWN = 30
_ROW = 20
_NAME_LENGTH = 22


@dataclass(frozen=True)
class ClassFall:
    """A class, its task's number from 1, the best accuracy it had after a task, and that after the last."""

    name: str
    task: int
    best: float
    final: float

    @property
    def fall(self) -> float:
        return self.best - self.final


def falls_of(analysis: Analysis) -> list[ClassFall]:
    """Return every class with a test video, the deepest fall first; of equal ones the less accurate."""
    columns = zip(*analysis.class_accuracy_by_task, strict=True)
    falls = []
    for name, task, column in zip(analysis.class_names, analysis.class_tasks, columns, strict=True):
        known = [value for value in column if value is not None]
        if known and column[-1] is not None:
            falls.append(ClassFall(name, task + 1, max(known), column[-1]))
    return sorted(falls, key=lambda each: (-each.fall, each.final))


def falls_figure(run: RunView, falls: Sequence[ClassFall]) -> FigureView:
    """The falls for files; on the page they are a table with bars."""
    return FigureView(
        title="Accuracy by class and its fall",
        drawing=_FallChart(f"{run.anchor}-falls", falls[:_DRAWN]),
        data=Data(
            ("class", "task", "best accuracy, %", "final accuracy, %", "fall, points"),
            [(each.name, each.task, 100 * each.best, 100 * each.final, 100 * each.fall) for each in falls],
        ),
    )


@dataclass(frozen=True)
class _FallChart(Drawing):
    """The deepest falls, a line per class from its best to its final accuracy."""

    name: str
    falls: Sequence[ClassFall]

    def draw(self, palette: Palette) -> Figure:
        count = len(self.falls)
        figure, axes = Sheet(width=480, height=58 + _ROW * count, left=165).plot()
        places = range(count)
        best, final = [100 * each.best for each in self.falls], [100 * each.final for each in self.falls]
        axes.hlines(places, final, best, color=palette.ink, alpha=0.5, linewidth=1.4, zorder=2)
        axes.plot(best, places, **_mark(palette, "o", 1), clip_on=False)
        axes.plot(final, places, **_mark(palette, "D", 0), clip_on=False)
        dress(axes, palette, x_label="Accuracy, %", y_label="")
        axes.set_yticks(places, [shortened(each.name, _NAME_LENGTH) for each in self.falls])
        axes.set(xlim=(0, 100), ylim=(count - 0.4, -0.6))
        axes.grid(axis="x", color=palette.ink, alpha=0.14, linewidth=0.8)
        return figure

    def keys(self, palette: Palette) -> list[Artist]:
        marks = (("best after a task", "o", 1), ("after the last task", "D", 0))
        return [Line2D([], [], label=label, **_mark(palette, marker, number)) for label, marker, number in marks]


def _mark(palette: Palette, marker: str, number: int) -> dict[str, Any]:
    """The best is a ring, what is left of it a full diamond."""
    colour = palette.series[number]
    face = palette.paper if marker == "o" else colour
    return {
        "marker": marker,
        "markersize": 6,
        "linestyle": "",
        "markerfacecolor": face,
        "markeredgecolor": colour,
        "zorder": 3,
    }
