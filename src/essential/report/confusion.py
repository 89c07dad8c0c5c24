"""What test videos were taken for after the last task, by class and by task; and the accuracy matrix as a figure."""

from collections.abc import Sequence
from dataclasses import dataclass

from essential.records.analysis import Analysis
from essential.report.figure_view import FigureView
from essential.report.heat_map import Ticks, heat_map
from essential.report.run_view import RunView

_NAMED = 40
_TICKS = 12
_TOP = 15


@dataclass(frozen=True)
class Confused:
    """Videos of one class that were taken for another, and their share of all of its videos."""

    true: str
    taken_for: str
    videos: int
    share: float


@dataclass(frozen=True)
class ConfusionView:
    """The figure by class, the most frequent mistakes, and the shares by task (rows: true) where there are several.

    `tiny` says that there are too many classes to read the figure class by class.
    """

    figure: FigureView
    top: list[Confused]
    pairs: int
    by_task: list[list[float | None]]
    task_figure: FigureView | None
    tiny: bool


def confusion_of(run: RunView, analysis: Analysis) -> ConfusionView | None:
    """Return the confusion of a run; None if no test video was there."""
    counts = analysis.confusion
    if not any(map(sum, counts)):
        return None
    tasks = _by_task(counts, analysis.class_tasks)
    confused = _confused(analysis)
    return ConfusionView(
        figure=_figure(run, analysis, confused),
        top=confused[:_TOP],
        pairs=len(confused),
        by_task=tasks,
        task_figure=_tasks(run, tasks) if len(tasks) > 1 else None,
        tiny=len(counts) > _NAMED,
    )


def matrix_figure(run: RunView) -> FigureView:
    """The accuracy matrix for files: on the page it is a table."""
    rows = run.record.accuracy
    return FigureView(
        title="Accuracy matrix",
        drawing=heat_map(
            f"{run.anchor}-matrix",
            rows,
            labels=("On task", "After task"),
            ticks=(_ticks(range(len(rows[0]))), _ticks(range(len(rows)))),
            beside_diagonal="right",
        ),
        data=[
            ("after task", "on task", "accuracy, %"),
            *(
                (after, task, 100 * value)
                for after, values in enumerate(rows, 1)
                for task, value in enumerate(values, 1)
                if value is not None
            ),
        ],
    )


def _figure(run: RunView, analysis: Analysis, confused: Sequence[Confused]) -> FigureView:
    counts, names = analysis.confusion, analysis.class_names
    right, videos = sum(counts[slot][slot] for slot in range(len(counts))), sum(map(sum, counts))
    worst = f" Most often {confused[0].true} was taken for {confused[0].taken_for}." if confused else ""
    named, tasks = len(names) <= _NAMED, _ticks(analysis.class_tasks)
    edges = [slot for slot in range(1, len(names)) if analysis.class_tasks[slot] > analysis.class_tasks[slot - 1]]
    return FigureView(
        title="Confusion",
        note="What the test videos of each class (a row) were taken for (columns), after the last task. The stronger "
        "the colour, the larger the share of the row; on the diagonal, from top left, what was right. Lines separate "
        "tasks.",
        description=f"Confusion of {len(names)} classes: {right} of {videos} test videos were right.{worst} "
        "The most frequent mistakes are in the table beside it.",
        drawing=heat_map(
            f"{run.anchor}-confusion",
            _shares(counts),
            labels=("Taken for a class of task", "True class" if named else "True class, by task"),
            ticks=(tasks, [(slot, slot, name) for slot, name in enumerate(names)] if named else tasks),
            edges=edges,
        ),
        data=[
            ("true class", "taken for", "videos"),
            *(
                (names[true], names[taken], count)
                for true, row in enumerate(counts)
                for taken, count in enumerate(row)
                if count
            ),
        ],
    )


def _tasks(run: RunView, shares: list[list[float | None]]) -> FigureView:
    """The confusion between tasks, for files: on the page it is a table."""
    ticks = _ticks(range(len(shares)))
    return FigureView(
        title="Confusion between tasks",
        drawing=heat_map(
            f"{run.anchor}-tasks", shares, labels=("Taken for a class of task", "True task"), ticks=(ticks, ticks)
        ),
        data=[
            ("true task", "taken for a class of task", "share, %"),
            *(
                (true, taken, None if value is None else 100 * value)
                for true, row in enumerate(shares, 1)
                for taken, value in enumerate(row, 1)
            ),
        ],
    )


def _confused(analysis: Analysis) -> list[Confused]:
    """Every mistake, the one with most videos first."""
    names = analysis.class_names
    found = [
        Confused(names[true], names[taken], count, count / videos)
        for true, (row, videos) in enumerate(zip(analysis.confusion, map(sum, analysis.confusion), strict=True))
        for taken, count in enumerate(row)
        if count and true != taken
    ]
    return sorted(found, key=lambda each: (-each.videos, -each.share))


def _by_task(counts: Sequence[Sequence[int]], class_tasks: Sequence[int]) -> list[list[float | None]]:
    """Return which share of each task's videos was taken for classes of each task."""
    tasks = max(class_tasks) + 1
    sums = [[0] * tasks for _ in range(tasks)]
    for true, row in enumerate(counts):
        for taken, count in enumerate(row):
            sums[class_tasks[true]][class_tasks[taken]] += count
    return _shares(sums)


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
