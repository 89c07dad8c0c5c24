"""Runs as a page shows them, and the line charts of a group of them: over tasks, and against frames."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import zip_longest
from typing import Any

from essential.metrics import backward_forgetting_by_task
from essential.nested import flattened
from essential.records import Record
from essential.records.analysis import Analysis
from essential.records.training_log import TrainingLog
from essential.report.charts import ChartLine, bar_chart, line_chart
from essential.report.drawing import Drawing, FigureView, LineStyle, NumberRow
from essential.report.run_figures import RunView
from essential.results.formats import BYTE_UNITS, NONE, byte_power, counted, human_bytes, percent, slug
from essential.results.measures import FINAL, values_of
from essential.results.runs import SeedRuns, all_but_seed, grouped_by, spread_of

_DESCRIBED = 8
_SETTING = "frames_kept"
_REBUILT = "Hollow: upper bound with rebuilt frames and known task; not a result."
Show = Callable[[float | None], str]
Chart = Callable[..., Drawing]


@dataclass(frozen=True)
class ReportedRun:
    """A run's name, its record, its analysis, which has figures that the record alone does not give, and its log."""

    name: str
    record: Record
    analysis: Analysis | None = None
    log: TrainingLog | None = None

    def __post_init__(self) -> None:
        """Refuse an analysis of another run: its figures would be shown as this one's."""
        if self.analysis:
            self.analysis.refuse_another(self.name, self.record)

    @property
    def label(self) -> str:
        """Its name, with a mark where its files have no digest or were changed."""
        return self.record.marked(self.name, self.analysis)


Values = Sequence[float | None]


@dataclass(frozen=True, eq=False)
class Line:
    """What is drawn as one line: a single run, or all seeds of a method."""

    name: str
    style: LineStyle
    runs: tuple[RunView, ...]

    @property
    def seeds(self) -> int:
        return len(self.runs)

    @cached_property
    def results(self) -> SeedRuns:
        """What the runs amount to together."""
        return SeedRuns(tuple(run.record for run in self.runs))

    def chart_line(self, values: Callable[[RunView], Values]) -> ChartLine:
        """Return the spread over the runs at each place; there is none where one of them has no value."""
        columns = dict(enumerate(zip_longest(*map(values, self.runs)), start=1))
        points = {place: spread_of(column) for place, column in columns.items()}
        seeds = {place: [value for value in column if value is not None] for place, column in columns.items()}
        return ChartLine(self.name, self.style, points, seeds)


def figures_over_tasks(lines: Sequence[Line], anchor: str) -> list[FigureView]:
    """Return the charts of accuracy and of forgetting; none if no run has learned two tasks."""
    if all(len(run.record.accuracy) < 2 for line in lines for run in line.runs):
        return []
    accuracy = _over_tasks(
        lines,
        anchor,
        title="Accuracy over tasks",
        note="Accuracy on all classes seen so far, in percent, after each task.",
        axes=("Tasks learned", "Accuracy on classes seen, %"),
        values=lambda run: _in_percent(run.record.scores.seen),
    )
    # The terms of vCLIMB's BWF, one per old task.
    forgetting = _over_tasks(
        lines,
        anchor,
        title="Forgetting per task",
        note="Accuracy just after learning it minus accuracy at the end, in points.",
        axes=("Task", "Forgetting, points"),
        values=lambda run: _in_percent(backward_forgetting_by_task(run.record.accuracy)),
        chart=bar_chart,
    )
    return [accuracy, forgetting]


def memory_figure(lines: Sequence[Line], anchor: str) -> FigureView | None:
    """All bytes carried to the next task; None if every method keeps all videos, which are no number of bytes."""
    apart = [line.name for line in lines if line.results.needs_all_tasks]
    lines = [line for line in lines if not line.results.needs_all_tasks]
    if not lines:
        return None
    totals = {run: [memory.total for memory in run.record.memory_bytes_by_task] for line in lines for run in line.runs}
    power = byte_power(max(max(values) for values in totals.values()))
    scale = 1024**power
    return _over_tasks(
        lines,
        anchor,
        title="Memory over tasks",
        note=f"All bytes carried on to the next task, in {BYTE_UNITS[power]}."
        + (f" Not drawn, because all videos are kept: {', '.join(apart)}." if apart else ""),
        axes=("Tasks learned", f"Memory, {BYTE_UNITS[power]}"),
        values=lambda run: [value / scale for value in totals[run]],
        show=lambda value: human_bytes(None if value is None else round(value * scale)),
    )


def frames_read_figure(lines: Sequence[Line], anchor: str) -> FigureView | None:
    """Accuracy after the last task when only some frames of a test clip are read; None if no run was asked."""
    asked = [(analyses, drawn) for analyses, drawn in map(_asked, lines) if drawn]
    if not asked:
        return None
    drawn = [line for _, lines in asked for line in lines]
    figure = _line_figure(
        f"{anchor}-frames-read",
        drawn,
        title="Accuracy against frames read",
        note=f"Accuracy in percent after the last task, {_of_clips([each for some, _ in asked for each in some])}, "
        f"when only so many of their frames are read.{f' {_REBUILT}' if len(drawn) > len(asked) else ''}",
        axes=("Frames read", "Accuracy, %"),
    )
    clips = [
        _span(row.clips for each in analyses for row in each.frames_kept if row.frames == frames)
        for analyses, lines in asked
        for line in lines
        for frames in line.points
    ]
    return replace(figure, data=[(*row, n) for row, n in zip(figure.data, ["clips", *clips], strict=True)])


def frames_kept_figure(runs: Sequence[RunView], anchor: str) -> FigureView | None:
    """Final accuracy against the frames kept of an exemplar; None if no runs differ in these alone."""
    lines = _sweeps(runs)
    if not lines:
        return None
    return _line_figure(
        f"{anchor}-frames-kept",
        lines,
        title="Accuracy against frames kept",
        note="Final accuracy, in percent, of runs that differ only in how many frames of an exemplar they keep.",
        axes=("Frames kept of an exemplar", "Final accuracy, %"),
    )


def _in_percent(values: Values) -> Values:
    return [None if value is None else 100 * value for value in values]


def _shown_percent(value: float | None) -> str:
    return percent(None if value is None else value / 100)


def _over_tasks(
    lines: Sequence[Line],
    anchor: str,
    *,
    values: Callable[[RunView], Values],
    title: str,
    show: Show = _shown_percent,
    **words: Any,
) -> FigureView:
    """Return a chart of a run's `values` over 1, 2, 3, ...; the table below it has every seed as well."""
    drawn = [line.chart_line(values) for line in lines]
    figure = _line_figure(f"{anchor}-{slug(title)}", drawn, title=title, show=show, **words)
    rows = [figure.numbers[0]]
    for line, row in zip(lines, figure.numbers[1:], strict=True):
        rows += [NumberRow(run.label, [show(value) for value in values(run)], run.style.swatch) for run in line.runs]
        if line.seeds > 1:
            rows.append(replace(row, name=f"{line.name}, mean of {line.seeds} seeds"))
    return replace(figure, numbers=rows, legend=())


def _line_figure(
    name: str,
    lines: Sequence[ChartLine],
    *,
    title: str,
    note: str,
    axes: tuple[str, str],
    show: Show = _shown_percent,
    chart: Chart = line_chart,
) -> FigureView:
    """Return a chart of lines, at least one, with the table of its numbers; `name` is unique on the page."""
    places = sorted({place for line in lines for place in line.points})
    shown = {line: {place: show(spread.mean) for place, spread in line.points.items()} for line in lines}
    rows = [NumberRow(e.label, [own.get(p, NONE) for p in places], e.style.swatch) for e, own in shown.items()]
    return FigureView(
        title=title,
        note=note,
        description=_describe(title, axes[0].lower(), [(line.label, own) for line, own in shown.items()]),
        drawing=chart(name, lines, axes=axes),
        data=[
            ("line", "seeds", axes[0].lower(), axes[1].lower(), "least", "greatest"),
            *(
                (line.label, value.seeds, place, value.mean, value.least, value.greatest)
                for line in lines
                for place, value in line.points.items()
            ),
        ],
        numbers=[NumberRow(axes[0], [str(place) for place in places]), *rows],
        legend=[(line.style.swatch, line.label) for line in lines],
    )


def _describe(title: str, what: str, lines: Sequence[tuple[str, Mapping[int, str]]]) -> str:
    """Return a line chart's message in words: where its lines begin and end."""
    ends = [(label, shown, dict.fromkeys((min(shown), max(shown)))) for label, shown in lines[:_DESCRIBED] if shown]
    parts = [
        f"{label}: " + ", ".join(f"{shown[place]} at {what} {place}" for place in places)
        for label, shown, places in ends
    ]
    more = [f"and {len(lines) - _DESCRIBED} more lines"] if len(lines) > _DESCRIBED else []
    return f"Chart, {title.lower()}. " + "; ".join(parts + more) + ". The numbers are in the table below."


def _asked(line: Line) -> tuple[list[Analysis], list[ChartLine]]:
    """Return the analyses of a line's runs, and what those were asked; the names say where a seed has none."""
    analyses = [run.analysis for run in line.runs if run.analysis and run.analysis.frames_kept]
    some = f", {len(analyses)} of {counted(line.seeds, 'seed')}" if len(analyses) < line.seeds else ""
    read = [{row.frames: row.accuracy for row in each.frames_kept} for each in analyses]
    rebuilt = [
        {row.frames: row.retrieved_accuracy for row in each.frames_kept if row.retrieved_accuracy is not None}
        for each in analyses
    ]
    lines = [
        _where_all_are_known(line.name + some, line.style, read),
        _where_all_are_known(f"{line.name}{some}, rebuilt, true task given", replace(line.style, hollow=True), rebuilt),
    ]
    return analyses, [each for each in lines if each.points]


def _where_all_are_known(label: str, style: LineStyle, by_run: Sequence[Mapping[int, float]]) -> ChartLine:
    """Return a line over the numbers of frames of which all runs have an accuracy."""
    places = sorted(set.intersection(*map(set, by_run))) if by_run else []
    return ChartLine(label, style, {place: spread_of(100 * run[place] for run in by_run) for place in places})


def _of_clips(analyses: Sequence[Analysis]) -> str:
    """Say of how many of the test clips: large test sets are asked in part."""
    clips = _span(row.clips for analysis in analyses for row in analysis.frames_kept)
    tests = _span(sum(map(sum, analysis.confusion)) for analysis in analyses)
    return (
        f"on all {tests} test clips" if clips == tests else f"on {clips} of {tests} test clips, evenly over the classes"
    )


def _span(counts: Iterable[int]) -> str:
    known = sorted(set(counts))
    return str(known[0]) if len(known) == 1 else f"{known[0]} to {known[-1]}"


def _sweeps(runs: Sequence[RunView]) -> list[ChartLine]:
    """Return a line for runs that differ in nothing but seed and frames kept, with at least two numbers of these."""
    known = [(run, kept) for run in runs if (kept := _kept(run.record)) is not None]
    alike = grouped_by(known, lambda each: json.dumps(json.loads(all_but_seed(each[0].record), object_hook=_rest)))
    sweeps = [same for same in alike.values() if len({kept for _, kept in same}) > 1]
    names = [same[0][0].record.method.name for same in sweeps]
    lines = []
    for same, name in zip(sweeps, names, strict=True):
        first = same[0][0]
        label = name if names.count(name) == 1 else f"{name}, as {first.label}"
        by_frames = sorted(grouped_by(same, lambda each: each[1]).items())
        points = {
            frames: spread_of(_in_percent([values_of(run.record)[FINAL] for run, _ in own]))
            for frames, own in by_frames
        }
        lines.append(ChartLine(label, first.style, points))
    return lines


def _rest(settings: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key != _SETTING}


def _kept(record: Record) -> int | None:
    """How many frames of an exemplar the method keeps; None if it keeps none, or the record does not say."""
    settings = dict(flattened(record.method.config))
    key = next((key for key in (_SETTING, f"base.{_SETTING}") if key in settings), None)
    kept = settings.get(key) if key else None
    if key and kept is None:
        kept = dict(flattened(record.config)).get("video.frames")
    return kept if isinstance(kept, int) and kept > 0 else None
