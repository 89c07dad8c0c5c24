"""Accuracy against frames: against those that are read of a test clip, and against those that are kept of exemplars."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from essential.records import Record
from essential.records.analysis import Analysis
from essential.report.charts import Band, ChartLine, line_chart
from essential.report.contents import GroupView
from essential.report.families import Line, band_of
from essential.report.figure_view import FigureView, NumberRow
from essential.report.figures import in_percent, line_data
from essential.report.formats import counted, percent
from essential.report.line_style import LineStyle
from essential.report.run_view import RunView
from essential.results.runs import all_but_seed

_SETTING = "frames_kept"
_REBUILT = (
    "Hollow: of what the method rebuilds of so many frames when it is told the true task of the clip, which it is not "
    "when it answers: no accuracy that the run reaches."
)


@dataclass(frozen=True)
class _Asked:
    """A method that was asked by fewer frames: its analyses, one per run that has one, and the lines of them."""

    analyses: Sequence[Analysis]
    lines: Sequence[ChartLine]

    def clips(self, frames: int) -> str:
        """How many test clips were asked, by so many frames; a span where the runs differ."""
        return _span(row.clips for each in self.analyses for row in each.frames_kept if row.frames == frames)


def frames_read_figure(group: GroupView) -> FigureView | None:
    """Accuracy after the last task when only some frames of a test clip are read; None if no run was asked."""
    asked = [each for each in map(_asked, group.lines) if each.lines]
    if not asked:
        return None
    lines = [line for each in asked for line in each.lines]
    axes = ("Frames read", "Accuracy, %")
    places = sorted({place for line in lines for place in line.points})
    return FigureView(
        title="Accuracy against frames read",
        note=f"Accuracy in percent after the last task, {_of_clips(asked)}, when only so many of their frames are read."
        + (f" {_REBUILT}" if len(lines) > len(asked) else ""),
        description="Line chart, accuracy against frames read of a test clip. "
        + "; ".join(f"{line.label}: {_at(line, [min(line.points), max(line.points)], 'of')}" for line in lines)
        + ". The numbers are in the table below.",
        drawing=line_chart(f"{group.anchor}-frames-read", lines, axes=axes, limits=(0.0, 100.0)),
        data=[
            ("line", "seeds", axes[0].lower(), axes[1].lower(), "least", "greatest", "clips"),
            *(
                (line.label, value.seeds, place, value.mean, value.least, value.greatest, each.clips(place))
                for each in asked
                for line in each.lines
                for place, value in line.points.items()
                if value
            ),
        ],
        numbers=[
            NumberRow(axes[0], [*map(str, places)]),
            *(
                NumberRow(line.label, [_shown(line.points.get(place)) for place in places], line.style.swatch)
                for line in lines
            ),
        ],
        legend=[(line.style.swatch, line.label) for line in lines],
    )


def hollow_styles(runs: Sequence[RunView]) -> list[LineStyle]:
    """Return the styles of the lines of what is rebuilt, which a page must define."""
    return [LineStyle(run.style.number, hollow=True) for run in runs if run.analysis and _rebuilt(run.analysis)]


def frames_kept_figure(group: GroupView) -> FigureView | None:
    """Final accuracy against the frames kept of an exemplar; None if no runs differ in these alone."""
    lines = _sweeps(group.runs)
    if not lines:
        return None
    axes = ("Frames kept of an exemplar", "Final accuracy, %")
    return FigureView(
        title="Accuracy against frames kept",
        note="Final accuracy, in percent, of runs that differ only in how many frames of an exemplar they keep.",
        description="Line chart, final accuracy against frames kept. "
        + "; ".join(f"{line.label}: {_at(line, list(line.points), 'with')}" for line in lines)
        + ".",
        drawing=line_chart(f"{group.anchor}-frames-kept", lines, axes=axes, limits=(0.0, 100.0)),
        data=line_data(axes, lines),
        numbers=[
            NumberRow("Method", ["Frames kept", "Final accuracy, %"]),
            *(
                NumberRow(line.label, [str(frames), _shown(value)], line.style.swatch)
                for line in lines
                for frames, value in line.points.items()
            ),
        ],
        legend=[(line.style.swatch, line.label) for line in lines],
    )


def _asked(line: Line) -> _Asked:
    """Return what the runs of a line that have an analysis were asked; the names say where a seed has none."""
    analyses = [run.analysis for run in line.runs if run.analysis and run.analysis.frames_kept]
    some = f", {len(analyses)} of {counted(line.seeds, 'seed')}" if len(analyses) < line.seeds else ""
    read = [{row.frames: row.accuracy for row in each.frames_kept} for each in analyses]
    hollow, rebuilt = LineStyle(line.style.number, hollow=True), [_rebuilt(each) for each in analyses]
    lines = [
        _line(line.name + some, line.style, read),
        _line(f"{line.name}{some}, rebuilt, true task given", hollow, rebuilt),
    ]
    return _Asked(analyses, [each for each in lines if each.points])


def _line(label: str, style: LineStyle, by_run: Sequence[Mapping[int, float]]) -> ChartLine:
    """Return a line over the numbers of frames of which all runs have an accuracy."""
    places = sorted(set.intersection(*map(set, by_run))) if by_run else []
    return ChartLine(label, style, {place: band_of([100 * run[place] for run in by_run]) for place in places})


def _rebuilt(analysis: Analysis) -> dict[int, float]:
    accuracies = {row.frames: row.retrieved_accuracy for row in analysis.frames_kept}
    return {frames: accuracy for frames, accuracy in accuracies.items() if accuracy is not None}


def _of_clips(asked: Sequence[_Asked]) -> str:
    """Say of how many of the test clips: large test sets are asked in part."""
    analyses = [analysis for each in asked for analysis in each.analyses]
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
    alike: dict[str, dict[int, list[RunView]]] = {}
    for run in runs:
        kept = _kept(run.record)
        if kept is not None:
            rest = json.loads(all_but_seed(run.record), object_hook=_without_frames)
            alike.setdefault(json.dumps(rest), {}).setdefault(kept, []).append(run)
    sweeps = [by_frames for by_frames in alike.values() if len(by_frames) > 1]
    firsts = [next(iter(by_frames.values()))[0] for by_frames in sweeps]
    names = [first.record.method.name for first in firsts]
    lines = []
    for by_frames, first, name in zip(sweeps, firsts, names, strict=True):
        label = name if names.count(name) == 1 else f"{name}, as {first.label}"
        accuracies = {frames: [run.record.metrics.final_accuracy for run in by_frames[frames]] for frames in by_frames}
        points = {frames: band_of(in_percent(accuracies[frames])) for frames in sorted(accuracies)}
        lines.append(ChartLine(label, first.style, points))
    return lines


def _without_frames(settings: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key != _SETTING}


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


def _shown(value: Band | None) -> str:
    return percent(None if value is None else value.mean / 100)


def _at(line: ChartLine, places: Sequence[int], word: str) -> str:
    return ", ".join(
        f"{_shown(line.points[place])} {word} {counted(place, 'frame')}" for place in dict.fromkeys(places)
    )
