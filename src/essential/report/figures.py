"""The charts over tasks of a group of runs, a line per run or per method with several seeds."""

from collections.abc import Callable, Sequence

from essential.metrics import backward_forgetting_by_task
from essential.report.charts import ChartLine, line_chart
from essential.report.families import Line
from essential.report.figure_view import Cell, FigureView, NumberRow
from essential.report.formats import byte_power, byte_unit, human_bytes, percent, slug
from essential.report.run_view import RunView

_DESCRIBED = 8
Values = Sequence[float | None]


def figures_over_tasks(lines: Sequence[Line], anchor: str) -> list[FigureView]:
    """Return the charts of accuracy and of forgetting; that of forgetting only if a run has learned two tasks."""
    figures = [accuracy_figure(lines, anchor)]
    if any(len(run.record.accuracy) > 1 for line in lines for run in line.runs):
        figures.append(forgetting_figure(lines, anchor))
    return figures


def accuracy_figure(lines: Sequence[Line], anchor: str) -> FigureView:
    """The accuracy on all classes seen, after each task."""
    return line_figure(
        lines,
        anchor,
        title="Accuracy over tasks",
        note="Accuracy on all classes seen so far, in percent, after each task.",
        axes=("Tasks learned", "Accuracy on classes seen, %"),
        values=lambda run: in_percent(run.record.scores.seen),
        show=_shown_percent,
        limits=(0.0, 100.0),
    )


def forgetting_figure(lines: Sequence[Line], anchor: str) -> FigureView:
    """The terms of vCLIMB's BWF, one per old task."""
    return line_figure(
        lines,
        anchor,
        title="Forgetting per task",
        note="Accuracy just after learning it minus accuracy at the end, in points.",
        axes=("Task", "Forgetting, points"),
        values=lambda run: in_percent(backward_forgetting_by_task(run.record.accuracy)),
        show=_shown_percent,
    )


def in_percent(values: Values) -> Values:
    return [None if value is None else 100 * value for value in values]


def _shown_percent(value: float | None) -> str:
    return percent(None if value is None else value / 100)


def memory_figure(lines: Sequence[Line], anchor: str) -> FigureView | None:
    """All bytes carried to the next task; None if every method keeps all videos, which are no number of bytes."""
    apart = [line.name for line in lines if line.results.needs_all_tasks]
    lines = [line for line in lines if not line.results.needs_all_tasks]
    if not lines:
        return None
    totals = {run: [memory.total for memory in run.record.memory_bytes_by_task] for line in lines for run in line.runs}
    power = byte_power(max(max(values) for values in totals.values()))
    scale = 1024**power
    return line_figure(
        lines,
        anchor,
        title="Memory over tasks",
        note=f"All bytes carried on to the next task, in {byte_unit(power)}."
        + (f" Not drawn, because all videos are kept: {', '.join(apart)}." if apart else ""),
        axes=("Tasks learned", f"Memory, {byte_unit(power)}"),
        values=lambda run: [value / scale for value in totals[run]],
        show=lambda value: human_bytes(None if value is None else round(value * scale)),
    )


def line_figure(
    lines: Sequence[Line],
    anchor: str,
    *,
    title: str,
    note: str,
    axes: tuple[str, str],
    values: Callable[[RunView], Values],
    show: Callable[[float | None], str],
    limits: tuple[float, float] | None = None,
) -> FigureView:
    """Return a chart of lines over 1, 2, 3, ..., named on its axes by `axes`.

    Args:
        lines: at least one.
        anchor: of the section that the figure is in, so that names stay unique.
        values: a run's numbers.
        show: a number as the reader wants it.
    """
    drawn = [line.chart_line(values) for line in lines]
    means = [[show(value.mean if value else None) for value in line.points.values()] for line in drawn]
    rows = [NumberRow(axes[0], [str(place) for place in max((line.points for line in drawn), key=len)])]
    for line, shown in zip(lines, means, strict=True):
        rows += [NumberRow(run.label, [show(value) for value in values(run)], run.style.swatch) for run in line.runs]
        if line.seeds > 1:
            rows.append(NumberRow(f"{line.name}, mean of {line.seeds} seeds", shown, line.style.swatch))
    return FigureView(
        title=title,
        note=note,
        description=_describe(title, axes[0], [(line.name, shown) for line, shown in zip(lines, means, strict=True)]),
        drawing=line_chart(f"{anchor}-{slug(title)}", drawn, axes=axes, limits=limits),
        data=line_data(axes, drawn),
        numbers=rows,
    )


def line_data(axes: tuple[str, str], lines: Sequence[ChartLine]) -> list[Sequence[Cell]]:
    """Return the numbers of lines: a row per point, with how many seeds stand behind it."""
    return [
        ("line", "seeds", axes[0].lower(), axes[1].lower(), "least", "greatest"),
        *(
            (line.label, value.seeds, place, value.mean, value.least, value.greatest)
            if value
            else (line.label, None, place, None, None, None)
            for line in lines
            for place, value in line.points.items()
        ),
    ]


def _describe(title: str, what: str, lines: Sequence[tuple[str, list[str]]]) -> str:
    """Return a line chart's message in words: where its lines begin and end."""
    what = what.lower()
    parts = [
        f"{label}: {shown[0]} at {what} 1" + (f", {shown[-1]} at {len(shown)}" if len(shown) > 1 else "")
        for label, shown in lines[:_DESCRIBED]
        if shown
    ]
    more = [f"and {len(lines) - _DESCRIBED} more lines"] if len(lines) > _DESCRIBED else []
    return f"Line chart, {title.lower()}. " + "; ".join(parts + more) + ". The numbers are in the table below."
