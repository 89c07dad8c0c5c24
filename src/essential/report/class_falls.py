"""How far the accuracy on each class fell: its best after any task, minus that after the last."""

from collections.abc import Sequence
from dataclasses import dataclass

from essential.records.analysis import Analysis
from essential.report.drawing import Drawing, Drawn, Palette, Sheet, dress
from essential.report.figure_view import FigureView
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
        drawing=_fall_chart(f"{run.anchor}-falls", falls[:_DRAWN]),
        data=[
            ("class", "task", "best accuracy, %", "final accuracy, %", "fall, points"),
            *((each.name, each.task, 100 * each.best, 100 * each.final, 100 * each.fall) for each in falls),
        ],
    )


def _fall_chart(name: str, falls: Sequence[ClassFall]) -> Drawing:
    """Return a drawing with a line per class from its best accuracy, a ring, to its final one, a full diamond."""

    def draw(palette: Palette) -> Drawn:
        count = len(falls)
        figure, axes = Sheet(width=480, height=58 + _ROW * count, left=165).plot()
        places = range(count)
        best, final = [100 * each.best for each in falls], [100 * each.final for each in falls]
        axes.hlines(places, final, best, color=palette.ink, alpha=0.5, linewidth=1.4, zorder=2)
        keys = []
        for label, marker, values, colour, face in (
            ("best after a task", "o", best, palette.series[1], palette.paper),
            ("after the last task", "D", final, palette.series[0], palette.series[0]),
        ):
            marks = axes.plot(values, places, linestyle="", marker=marker, label=label, clip_on=False, zorder=3)
            marks[0].set(markersize=6, markerfacecolor=face, markeredgecolor=colour)
            keys += marks
        dress(axes, palette, x_label="Accuracy, %", y_label="")
        axes.set_yticks(places, [shortened(each.name, _NAME_LENGTH) for each in falls])
        axes.set(xlim=(0, 100), ylim=(count - 0.4, -0.6))
        axes.grid(axis="x", color=palette.ink, alpha=0.14, linewidth=0.8)
        return figure, keys

    return Drawing(name, draw)
