"""Accuracy against frames: against those that are read of a test clip, and against those that are kept of exemplars."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from essential.records import Record
from essential.report.charts import Band, ChartLine, LineChart
from essential.report.contents import GroupView
from essential.report.families import Family, Line, all_but_seed, band_of
from essential.report.figure_view import FigureView, NumberRow, Numbers
from essential.report.figures import line_data
from essential.report.formats import counted, percent
from essential.report.line_style import LineStyle
from essential.report.run_view import RunView

_SETTING = "frames_kept"


@dataclass(frozen=True)
class _Sweep:
    """Families that differ in the frames kept alone: how many, and the final accuracies of the seeds."""

    name: str
    style: LineStyle
    accuracies: Sequence[tuple[int, list[float | None]]]


def frames_read_figure(group: GroupView) -> FigureView | None:
    """Accuracy after the last task when only some frames of a test clip are read; None if no run was asked."""
    lines = [line for line in group.lines if all(_frames_read(run) for run in line.runs)]
    if not lines:
        return None
    drawn = [line.chart_line(_frames_read) for line in lines]
    retrieved = [_retrieved_line(line) for line in lines]
    also = [line for line in retrieved if any(line.values)]
    axes = ("Frames read", "Accuracy, %")
    longest = max(len(line.values) for line in drawn)
    seeds = [line.seeds for line in lines]
    hollow = (
        " Hollow: from what the method rebuilds of so many frames when it is told the true task of the clip, which it "
        "is not when it answers."
    )
    return FigureView(
        title="Accuracy against frames read",
        note="Accuracy on all test clips after the last task, in percent, when only so many of their frames are read."
        + (hollow if also else ""),
        description="Line chart, accuracy against frames read of a test clip. "
        + "; ".join(f"{line.label}: {_ends(line)}" for line in drawn)
        + ". The numbers are in the table below.",
        drawing=LineChart(f"{group.anchor}-frames-read", *axes, [*drawn, *also], (0.0, 100.0)),
        data=line_data(axes, list(zip([*drawn, *also], seeds + seeds, strict=False))),
        numbers=Numbers(
            (axes[0], *map(str, range(1, longest + 1))),
            [
                NumberRow(line.label, [_shown(value) for value in line.values], own.swatch)
                for own, first, second in zip(lines, drawn, retrieved, strict=True)
                for line in (first, *([second] if any(second.values) else []))
            ],
        ),
        legend=[(line.swatch, line.name) for line in lines],
    )


def frames_kept_figure(group: GroupView) -> FigureView | None:
    """Final accuracy against the frames kept of an exemplar; None if no runs differ in these alone."""
    sweeps = _sweeps(group.families)
    if not sweeps:
        return None
    axes = ("Frames kept of an exemplar", "Final accuracy, %")
    lines = [
        ChartLine(
            sweep.name,
            sweep.style,
            [band_of([None if value is None else 100 * value for value in values]) for _, values in sweep.accuracies],
            [frames for frames, _ in sweep.accuracies],
        )
        for sweep in sweeps
    ]
    seeds = [max(len(values) for _, values in sweep.accuracies) for sweep in sweeps]
    return FigureView(
        title="Accuracy against frames kept",
        note="Final accuracy, in percent, of runs that differ only in how many frames of an exemplar they keep.",
        description="Line chart, final accuracy against frames kept. "
        + "; ".join(f"{line.label}: {_points(line)}" for line in lines)
        + ".",
        drawing=LineChart(f"{group.anchor}-frames-kept", *axes, lines, (0.0, 100.0)),
        data=line_data(axes, list(zip(lines, seeds, strict=True))),
        numbers=Numbers(
            ("Method", "Frames kept", "Final accuracy, %"),
            [
                NumberRow(line.label, [str(frames), _shown(value)], f"line-{line.style.number + 1}")
                for line in lines
                for frames, value in line.points
            ],
        ),
        legend=[(f"line-{sweep.style.number + 1}", sweep.name) for sweep in sweeps],
    )


def _frames_read(run: RunView) -> list[float | None]:
    """A run's accuracies by frames read, from 1, in percent."""
    rows = {row.frames: row for row in run.analysis.frames_kept} if run.analysis else {}
    return [100 * rows[frames].accuracy if frames in rows else None for frames in range(1, max(rows, default=0) + 1)]


def _retrieved_line(line: Line) -> ChartLine:
    def values(run: RunView) -> list[float | None]:
        rows = {row.frames: row.retrieved_accuracy for row in run.analysis.frames_kept} if run.analysis else {}
        known = {frames: 100 * value for frames, value in rows.items() if value is not None}
        return [known.get(frames) for frames in range(1, max(rows, default=0) + 1)]

    drawn = line.chart_line(values)
    return ChartLine(f"{line.name}, retrieved", LineStyle(line.style.number, hollow=True), drawn.values)


def _sweeps(families: Sequence[Family]) -> list[_Sweep]:
    """Find families that differ in nothing but the frames kept, with at least two numbers of these."""
    alike: dict[str, list[Family]] = {}
    for family in families:
        record = family.runs[0].record
        if _kept(record) is not None:
            alike.setdefault(_all_but_frames(record), []).append(family)
    groups = [members for members in alike.values() if len({_kept(each.runs[0].record) for each in members}) > 1]
    names = [members[0].runs[0].record.method.name for members in groups]
    sweeps = []
    for members, name in zip(groups, names, strict=True):
        by_frames: dict[int, list[float | None]] = {}
        for family in members:
            accuracies = [run.record.metrics.final_accuracy for run in family.runs]
            by_frames.setdefault(_kept(family.runs[0].record) or 0, []).extend(accuracies)
        own = name if names.count(name) == 1 else f"{name}, as {members[0].runs[0].label}"
        sweeps.append(_Sweep(own, members[0].lines[0].style, sorted(by_frames.items())))
    return sweeps


def _kept(record: Record) -> int | None:
    """How many frames of an exemplar the method keeps; None if it keeps none, or the record does not say."""
    settings: Any = record.method.config
    if _SETTING not in settings:
        settings = settings.get("base")
    if not isinstance(settings, Mapping) or _SETTING not in settings:
        return None
    kept = settings[_SETTING]
    if kept is None:
        video = record.config.get("video")
        kept = video.get("frames") if isinstance(video, Mapping) else None
    return kept if isinstance(kept, int) and kept > 0 else None


def _all_but_frames(record: Record) -> str:
    return json.dumps(_without(json.loads(all_but_seed(record))), sort_keys=True)


def _without(part: Any) -> Any:
    if isinstance(part, dict):
        return {key: _without(value) for key, value in part.items() if key != _SETTING}
    return [_without(each) for each in part] if isinstance(part, list) else part


def _shown(value: Band | None) -> str:
    return percent(None if value is None else value.mean / 100)


def _ends(line: ChartLine) -> str:
    known = [(place, value) for place, value in line.points if value is not None]
    return ", ".join(f"{_shown(value)} of {counted(place, 'frame')}" for place, value in (known[0], known[-1]))


def _points(line: ChartLine) -> str:
    return ", ".join(f"{_shown(value)} with {counted(place, 'frame')}" for place, value in line.points)
