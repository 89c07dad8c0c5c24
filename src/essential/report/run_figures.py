"""A run as the page shows it: its matrix and memory, and its analysis by class and task."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import numpy as np

from essential.records import Record
from essential.records.analysis import Analysis
from essential.records.training_log import TrainingLog
from essential.report.charts import KINDS, Cells, Ticks, cell_box, heat_map, memory_bars
from essential.report.drawing import (
    Drawing,
    Drawn,
    FigureView,
    Hover,
    LineStyle,
    NumberRow,
    Palette,
    Sheet,
    dress,
    every_few,
)
from essential.report.exemplar_distances import distance_figure
from essential.report.training_curves import training_figure
from essential.results.formats import BYTE_UNITS, byte_power, human_bytes, inside, shortened

_DRAWN = 30
_ROW = 20
_NAME_LENGTH = 22
_NAMED = 40
_MOST_HOVERS = 600
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
class RunView:
    """One run and its figures, which are None or empty where they cannot be drawn.

    `number` counts from 0 over the page, `style` is that of its line in its group's figures.
    """

    number: int
    label: str
    record: Record
    analysis: Analysis | None
    style: LineStyle
    log: TrainingLog | None = None

    @property
    def anchor(self) -> str:
        return f"run-{self.number + 1}"

    @cached_property
    def memory_kinds(self) -> dict[str, str]:
        """The kinds that its memory holds after any task, with their titles."""
        memories = self.record.memory_bytes_by_task
        return {kind: title for kind, title in KINDS.items() if any(getattr(memory, kind) for memory in memories)}

    @cached_property
    def memory(self) -> FigureView | None:
        return _memory(self, self.memory_kinds) if self.memory_kinds else None

    @cached_property
    def training(self) -> FigureView | None:
        return training_figure(self.anchor, self.log) if self.log else None

    @property
    def several_tasks(self) -> bool:
        return len(self.record.accuracy) > 1

    @property
    def paper_bytes(self) -> int:
        """What of its memory papers count."""
        return sum(entry.bytes for entry in self.record.ledger if entry.in_paper_figure)

    @cached_property
    def falls(self) -> list[ClassFall]:
        """Every class with a test video, the deepest fall first; of equal ones the less accurate."""
        falls = []
        if self.analysis:
            columns = zip(*self.analysis.class_accuracy_by_task, strict=True)
            for name, task, column in zip(self.analysis.class_names, self.analysis.class_tasks, columns, strict=True):
                known = [value for value in column if value is not None]
                if known and column[-1] is not None:
                    falls.append(ClassFall(name, task + 1, max(known), column[-1]))
        return sorted(falls, key=lambda each: (-each.fall, each.final))

    @cached_property
    def mistakes(self) -> list[Mistake]:
        """Every mistake, the one with most videos first."""
        names, counts = (self.analysis.class_names, self.analysis.confusion) if self.analysis else ((), ())
        mistakes = [
            Mistake(names[true], names[taken], count, count / sum(counts[true]))
            for true, taken, count in _cells(counts, range(len(names)))
            if count and true != taken
        ]
        return sorted(mistakes, key=lambda each: (-each.videos, -each.share))

    @cached_property
    def confusion(self) -> FigureView | None:
        return _confusion(self.anchor, self.analysis) if self.analysis and np.any(self.analysis.confusion) else None

    @cached_property
    def by_task(self) -> list[list[float | None]]:
        """Which share of each task's videos (rows) was taken for classes of each task."""
        if self.analysis is None:
            return []
        tasks = np.array(self.analysis.class_tasks)
        # One row a task, 1 where a class is of it.
        member = np.equal.outer(np.arange(tasks.max() + 1), tasks).astype(int)
        return _shares((member @ np.array(self.analysis.confusion) @ member.T).tolist())

    @cached_property
    def distances(self) -> FigureView | None:
        return distance_figure(self.anchor, self.analysis) if self.analysis else None

    @property
    def files(self) -> list[FigureView]:
        """Every figure, for files of its own; some are tables on the page."""
        falls = _falls_figure(self.anchor, self.falls) if self.falls else None
        name, title, labels = (
            f"{self.anchor}-tasks",
            "Confusion between tasks",
            ("Taken for a class of task", "True task"),
        )
        several = self.confusion and len(self.by_task) > 1
        tasks = _by_task(name, title, shares=self.by_task, labels=labels, right=False) if several else None
        name, labels = f"{self.anchor}-matrix", ("On task", "After task")
        matrix = _by_task(name, "Accuracy matrix", shares=self.record.accuracy, labels=labels, right=True)
        figures = [matrix, self.training, self.memory, falls, self.confusion, tasks, self.distances]
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


def _falls_figure(anchor: str, falls: Sequence[ClassFall]) -> FigureView:
    return FigureView(
        title="Accuracy and forgetting by class",
        drawing=_fall_chart(f"{anchor}-falls", falls[:_DRAWN]),
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
        hovers=[*_row_hovers(analysis), *_mistake_hovers(analysis)],
    )


def _row_hovers(analysis: Analysis) -> Iterator[Hover]:
    """Name the class of each row, and how many of its videos were right."""
    counts = analysis.confusion
    for row, (name, task, own) in enumerate(zip(analysis.class_names, analysis.class_tasks, counts, strict=True)):
        text = f"{name} (task {task + 1}): {own[row]} of {sum(own)} right"
        yield Hover(cell_box(counts, row, 0, columns=len(counts)), text)


def _mistake_hovers(analysis: Analysis) -> list[Hover]:
    """Name both classes of a mistake; of many, those with most videos."""
    names, counts = analysis.class_names, analysis.confusion
    wrong = [cell for cell in _cells(counts, range(len(names))) if cell[2] and cell[0] != cell[1]]
    return [
        Hover(cell_box(counts, true, taken), f"{names[true]} taken for {names[taken]}: {count} of {sum(counts[true])}")
        for true, taken, count in sorted(wrong, key=lambda cell: -cell[2])[:_MOST_HOVERS]
    ]


def _by_task(name: str, title: str, *, shares: Cells, labels: tuple[str, str], right: bool) -> FigureView:
    """Return a heat map of tasks, of shares that were right or were wrong; `name` is unique on the page."""
    ticks = _ticks(range(len(shares[0]))), _ticks(range(len(shares)))
    cells = _cells(shares, range(1, len(shares[0]) + 1))
    return FigureView(
        title=title,
        drawing=heat_map(name, shares, labels=labels, ticks=ticks, beside_diagonal="right" if right else "wrong"),
        data=[
            (labels[1].lower(), labels[0].lower(), "accuracy, %" if right else "share, %"),
            # What was not learned yet has no accuracy.
            *(
                (*place, None if each is None else 100 * each)
                for *place, each in cells
                if each is not None or not right
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
    return [(*spans[number - 1], str(number)) for number in every_few(max(spans) + 1, 12) if number - 1 in spans]
