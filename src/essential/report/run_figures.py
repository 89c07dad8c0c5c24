"""What the page shows of one run beyond its numbers: its matrix and memory, and its analysis by class and task."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import numpy as np

from essential.records.analysis import Analysis
from essential.report.charts import KINDS, Ticks, heat_map, memory_bars
from essential.report.drawing import Drawing, Drawn, FigureView, NumberRow, Palette, Sheet, dress
from essential.report.lines import RunView
from essential.report.token_figures import Look, distance_figure, token_looks, token_map_figure
from essential.results.formats import BYTE_UNITS, byte_power, human_bytes, inside, shortened

_DRAWN = 30
_ROW = 20
_NAME_LENGTH = 22
_NAMED = 40
_TICKS = 12
_Name = TypeVar("_Name")
_Cell = TypeVar("_Cell")


class ClassFall(NamedTuple):
    """A class, its task's number from 1, the best accuracy it had after a task, and that after the last."""

    name: str
    task: int
    best: float
    final: float

    @property
    def fall(self) -> float:
        return self.best - self.final


class Mistake(NamedTuple):
    """Videos of one class that were taken for another, and their share of all of its videos."""

    true: str
    taken_for: str
    videos: int
    share: float


@dataclass(frozen=True, eq=False)
class RunFigures:
    """The figures of a run; what cannot be drawn is None or empty."""

    run: RunView

    @cached_property
    def memory_kinds(self) -> dict[str, str]:
        """The kinds that its memory holds after any task, with their titles."""
        memories = self.run.record.memory_bytes_by_task
        return {kind: title for kind, title in KINDS.items() if any(getattr(memory, kind) for memory in memories)}

    @cached_property
    def memory(self) -> FigureView | None:
        return _memory(self.run, self.memory_kinds) if self.memory_kinds else None

    @cached_property
    def falls(self) -> list[ClassFall]:
        """Every class with a test video, the deepest fall first; of equal ones the less accurate."""
        analysis, falls = self.run.analysis, []
        if analysis:
            columns = zip(*analysis.class_accuracy_by_task, strict=True)
            for name, task, column in zip(analysis.class_names, analysis.class_tasks, columns, strict=True):
                known = [value for value in column if value is not None]
                if known and column[-1] is not None:
                    falls.append(ClassFall(name, task + 1, max(known), column[-1]))
        return sorted(falls, key=lambda each: (-each.fall, each.final))

    @cached_property
    def mistakes(self) -> list[Mistake]:
        """Every mistake, the one with most videos first."""
        names, counts = (self.run.analysis.class_names, self.run.analysis.confusion) if self.run.analysis else ((), ())
        mistakes = [
            Mistake(names[true], names[taken], count, count / sum(counts[true]))
            for true, taken, count in _cells(counts, range(len(names)))
            if count and true != taken
        ]
        return sorted(mistakes, key=lambda each: (-each.videos, -each.share))

    @cached_property
    def confusion(self) -> FigureView | None:
        """None if no test video was there."""
        analysis = self.run.analysis
        return _confusion(self.run.anchor, analysis) if analysis and np.any(analysis.confusion) else None

    @cached_property
    def by_task(self) -> list[list[float | None]]:
        """Which share of each task's videos (rows) was taken for classes of each task."""
        analysis = self.run.analysis
        if analysis is None:
            return []
        tasks = np.array(analysis.class_tasks)
        # One row a task, 1 where a class is of it.
        member = np.equal.outer(np.arange(tasks.max() + 1), tasks).astype(int)
        return _shares((member @ np.array(analysis.confusion) @ member.T).tolist())

    @cached_property
    def tokens(self) -> FigureView | None:
        return token_map_figure(self.run.anchor, self.run.analysis) if self.run.analysis else None

    @property
    def token_looks(self) -> list[Look]:
        """How each kind of token on its map is drawn."""
        return token_looks(self.run.analysis) if self.run.analysis else []

    @cached_property
    def distances(self) -> FigureView | None:
        return distance_figure(self.run.anchor, self.run.analysis) if self.run.analysis else None

    @property
    def files(self) -> list[FigureView]:
        """Every figure, for files of its own; some are tables on the page."""
        falls = _falls_figure(self.run, self.falls) if self.falls else None
        tasks = _tasks_figure(self.run, self.by_task) if self.confusion and len(self.by_task) > 1 else None
        figures = [_matrix(self.run), self.memory, falls, self.confusion, tasks, self.tokens, self.distances]
        return [figure for figure in figures if figure is not None]


def _memory(run: RunView, kinds: dict[str, str]) -> FigureView:
    """Memory by kind over the tasks."""
    memories = run.record.memory_bytes_by_task
    unit = BYTE_UNITS[byte_power(max(memory.total for memory in memories))]
    last = ", ".join(f"{inside(title)} {human_bytes(getattr(memories[-1], kind))}" for kind, title in kinds.items())
    sizes = {kind: [getattr(memory, kind) for memory in memories] for kind in kinds}
    return FigureView(
        title="Memory by kind over tasks",
        note=f"All bytes carried on to the next task, in {unit}, by what they hold.",
        description=f"Stacked bars, memory by kind after each of {len(memories)} tasks; after the last: {last}.",
        drawing=memory_bars(f"{run.anchor}-memory", memories),
        data=[
            ("after task", *(f"{kind}, bytes" for kind in kinds)),
            *((task, *each) for task, each in enumerate(zip(*sizes.values(), strict=True), 1)),
        ],
        numbers=[
            NumberRow("After task", [*map(str, range(1, len(memories) + 1))]),
            *(NumberRow(title, [*map(human_bytes, sizes[kind])]) for kind, title in kinds.items()),
        ],
    )


def _matrix(run: RunView) -> FigureView:
    rows = run.record.accuracy
    ticks = _ticks(range(len(rows[0]))), _ticks(range(len(rows)))
    labels = ("On task", "After task")
    return FigureView(
        title="Accuracy matrix",
        drawing=heat_map(f"{run.anchor}-matrix", rows, labels=labels, ticks=ticks, beside_diagonal="right"),
        data=[
            ("after task", "on task", "accuracy, %"),
            *(
                (after, task, 100 * value)
                for after, task, value in _cells(rows, range(1, len(rows[0]) + 1))
                if value is not None
            ),
        ],
    )


def _falls_figure(run: RunView, falls: Sequence[ClassFall]) -> FigureView:
    return FigureView(
        title="Accuracy and forgetting by class",
        drawing=_fall_chart(f"{run.anchor}-falls", falls[:_DRAWN]),
        data=[
            ("class", "task", "best accuracy, %", "final accuracy, %", "fall, points"),
            *((each.name, each.task, 100 * each.best, 100 * each.final, 100 * each.fall) for each in falls),
        ],
    )


def _fall_chart(name: str, falls: Sequence[ClassFall]) -> Drawing:
    """Return a drawing with a line per class from its best accuracy, a ring, to its final one, a full diamond."""

    def draw(palette: Palette) -> Drawn:
        figure, axes = Sheet(width=480, height=58 + _ROW * len(falls), left=165).plot()
        places = range(len(falls))
        best, final = [100 * each.best for each in falls], [100 * each.final for each in falls]
        axes.hlines(places, final, best, color=palette.ink, alpha=0.5, linewidth=1.4, zorder=2)
        first, second = palette.series[:2]
        look: dict[str, Any] = {"linestyle": "", "markersize": 6, "clip_on": False, "zorder": 3}
        keys = [
            *axes.plot(best, places, label="best after a task", marker="o", color=second, mfc=palette.paper, **look),
            *axes.plot(final, places, label="after the last task", marker="D", color=first, **look),
        ]
        dress(axes, palette, x_label="Accuracy, %", y_label="")
        axes.set_yticks(places, [shortened(each.name, _NAME_LENGTH) for each in falls])
        axes.set(xlim=(0, 100), ylim=(len(falls) - 0.4, -0.6))
        axes.grid(axis="x", color=palette.ink, alpha=0.14, linewidth=0.8)
        return figure, keys

    return Drawing(name, draw)


def _confusion(anchor: str, analysis: Analysis) -> FigureView:
    names = analysis.class_names
    named, tasks = len(names) <= _NAMED, _ticks(analysis.class_tasks)
    return FigureView(
        title="Confusion",
        drawing=heat_map(
            f"{anchor}-confusion",
            _shares(analysis.confusion),
            labels=("Taken for a class of task", "True class" if named else "True class, by task"),
            ticks=(tasks, [(slot, slot, name) for slot, name in enumerate(names)] if named else tasks),
            edges=[int(slot) + 1 for slot in np.flatnonzero(np.diff(analysis.class_tasks))],
        ),
        data=[
            ("true class", "taken for", "videos"),
            *(cell for cell in _cells(analysis.confusion, names) if cell[2]),
        ],
    )


def _tasks_figure(run: RunView, shares: list[list[float | None]]) -> FigureView:
    ticks, labels = _ticks(range(len(shares))), ("Taken for a class of task", "True task")
    return FigureView(
        title="Confusion between tasks",
        drawing=heat_map(f"{run.anchor}-tasks", shares, labels=labels, ticks=(ticks, ticks)),
        data=[
            ("true task", "taken for a class of task", "share, %"),
            *(
                (true, taken, None if share is None else 100 * share)
                for true, taken, share in _cells(shares, range(1, len(shares) + 1))
            ),
        ],
    )


def _cells(rows: Sequence[Sequence[_Cell]], names: Sequence[_Name]) -> Iterator[tuple[_Name, _Name, _Cell]]:
    """Give each cell with the names of its row and column."""
    for name, row in zip(names, rows, strict=False):
        yield from ((name, column, value) for column, value in zip(names, row, strict=False))


def _shares(counts: Sequence[Sequence[int]]) -> list[list[float | None]]:
    """Return each count as a share of its row; None in a row of nothing."""
    rows = [(row, sum(row)) for row in counts]
    return [[count / videos if videos else None for count in row] for row, videos in rows]


def _ticks(tasks: Sequence[int]) -> Ticks:
    """Return each task's first and last place and its number from 1; where there are many tasks, of every few."""
    spans: dict[int, tuple[int, int]] = {}
    for place, task in enumerate(tasks):
        spans[task] = (spans.get(task, (place, place))[0], place)
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, len(spans)) if len(spans) / step <= _TICKS)
    return [(*span, str(task + 1)) for task, span in spans.items() if step == 1 or task == 0 or (task + 1) % step == 0]
