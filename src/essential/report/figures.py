"""The line charts of a group of runs, each with its numbers as a table and its message in words."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from essential.metrics import backward_forgetting_by_task
from essential.report.charts import LineChart, draw_chart
from essential.report.contents import GroupView, RunView
from essential.report.formats import byte_power, byte_unit, human_bytes, percent

_RUNS_DESCRIBED = 8
Values = Sequence[float | None]


@dataclass(frozen=True)
class FigureView:
    """A chart as SVG, its words, and the same numbers as a table (one row per run, one column per task)."""

    title: str
    note: str
    description: str
    svg: str
    columns: int
    rows: list[tuple[RunView, list[str]]]


def figures_of(group: GroupView) -> list[FigureView]:
    """Return the group's charts; the one on forgetting only if a run has learned two tasks."""
    figures = [accuracy_figure(group), memory_figure(group)]
    if any(len(run.record.accuracy) > 1 for run in group.runs):
        figures.insert(1, forgetting_figure(group))
    return figures


def accuracy_figure(group: GroupView) -> FigureView:
    """The accuracy on all classes seen, after each task."""
    return _figure(
        group,
        title="Accuracy over tasks",
        note="Accuracy on all classes seen so far, in percent, after each task.",
        x_label="Tasks learned",
        values=lambda run: [None if value is None else 100 * value for value in run.seen],
        show=lambda value: percent(None if value is None else value / 100),
        limits=(0.0, 100.0),
    )


def forgetting_figure(group: GroupView) -> FigureView:
    """The terms of vCLIMB's BWF, one per old task."""
    return _figure(
        group,
        title="Forgetting per task",
        note="Accuracy just after learning it minus accuracy at the end, in points.",
        x_label="Task",
        values=lambda run: [
            None if value is None else 100 * value for value in backward_forgetting_by_task(run.record.accuracy)
        ],
        show=lambda value: percent(None if value is None else value / 100),
    )


def memory_figure(group: GroupView) -> FigureView:
    """All bytes carried to the next task."""
    totals = {run: [memory.total for memory in run.record.memory_bytes_by_task] for run in group.runs}
    power = byte_power(max(max(values) for values in totals.values()))
    scale = 1024**power
    return _figure(
        group,
        title="Memory over tasks",
        note=f"All bytes carried on to the next task, in {byte_unit(power)}.",
        x_label="Tasks learned",
        values=lambda run: [value / scale for value in totals[run]],
        show=lambda value: human_bytes(None if value is None else round(value * scale)),
    )


def _figure(
    group: GroupView,
    *,
    title: str,
    note: str,
    x_label: str,
    values: Callable[[RunView], Values],
    show: Callable[[float | None], str],
    limits: tuple[float, float] | None = None,
) -> FigureView:
    by_run = [(run, values(run)) for run in group.runs]
    name = f"{group.anchor}-{title}".replace(" ", "-").lower()
    lines = [(run.style, numbers) for run, numbers in by_run]
    return FigureView(
        title=title,
        note=note,
        description=_describe(title, [(run.label, [show(value) for value in numbers]) for run, numbers in by_run]),
        svg=draw_chart(LineChart(name, x_label, lines, limits)),
        columns=max(len(numbers) for _, numbers in by_run),
        rows=[(run, [show(value) for value in numbers]) for run, numbers in by_run],
    )


def _describe(title: str, runs: Sequence[tuple[str, list[str]]]) -> str:
    parts = [
        f"{label}: {shown[0]} at task 1" + (f", {shown[-1]} at task {len(shown)}" if len(shown) > 1 else "")
        for label, shown in runs[:_RUNS_DESCRIBED]
        if shown
    ]
    more = [f"and {len(runs) - _RUNS_DESCRIBED} more runs"] if len(runs) > _RUNS_DESCRIBED else []
    return f"Line chart, {title.lower()}. " + "; ".join(parts + more) + ". The numbers are in the table below."
