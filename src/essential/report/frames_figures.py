"""Accuracy against frames: against those that are read of a test clip, and against those that are kept of exemplars."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from essential.analysis_record import Analysis
from essential.records import Record
from essential.report.charts import Band, ChartLine, line_chart
from essential.report.contents import GroupView
from essential.report.drawing import Drawing
from essential.report.families import Family, Line, band_of
from essential.report.figure_view import Data, FigureView, NumberRow, Numbers
from essential.report.figures import line_data
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
    """A method that was asked by fewer frames: its analyses, one per run that has one, and what is drawn of them."""

    analyses: Sequence[Analysis]
    drawn: ChartLine
    rebuilt: ChartLine

    @property
    def lines(self) -> list[ChartLine]:
        """Those that have a point."""
        return [line for line in (self.drawn, self.rebuilt) if line.points]

    def clips(self, frames: int) -> str:
        """How many test clips were asked, by so many frames; a span where the runs differ."""
        return _span(row.clips for each in self.analyses for row in each.frames_kept if row.frames == frames)


def frames_read_figure(group: GroupView) -> FigureView | None:
    """Accuracy after the last task when only some frames of a test clip are read; None if no run was asked."""
    asked = [each for each in map(_asked, group.lines) if each.drawn.points]
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
        + "; ".join(f"{line.label}: {_ends(line)}" for line in lines)
        + ". The numbers are in the table below.",
        drawing=_chart(f"{group.anchor}-frames-read", axes, lines),
        data=Data(
            ("line", "seeds", axes[0].lower(), axes[1].lower(), "least", "greatest", "clips"),
            [
                (line.label, value.seeds, place, value.mean, value.least, value.greatest, each.clips(place))
                for each in asked
                for line in each.lines
                for place, value in line.points.items()
                if value
            ],
        ),
        numbers=Numbers(
            (axes[0], *map(str, places)),
            [
                NumberRow(line.label, [_shown(line.points.get(place)) for place in places], line.style.swatch)
                for line in lines
            ],
        ),
        legend=[(line.style.swatch, line.label) for line in lines],
    )


def _chart(name: str, axes: tuple[str, str], lines: Sequence[ChartLine]) -> Drawing:
    return line_chart(name, lines, x_label=axes[0], y_label=axes[1], limits=(0.0, 100.0))


def hollow_styles(runs: Sequence[RunView]) -> list[LineStyle]:
    """Return the styles of the lines of what is rebuilt, which a page must define."""
    return [LineStyle(run.style.number, hollow=True) for run in runs if run.analysis and _rebuilt(run.analysis)]


def frames_kept_figure(group: GroupView) -> FigureView | None:
    """Final accuracy against the frames kept of an exemplar; None if no runs differ in these alone."""
    lines = _sweeps(group.families)
    if not lines:
        return None
    axes = ("Frames kept of an exemplar", "Final accuracy, %")
    return FigureView(
        title="Accuracy against frames kept",
        note="Final accuracy, in percent, of runs that differ only in how many frames of an exemplar they keep.",
        description="Line chart, final accuracy against frames kept. "
        + "; ".join(f"{line.label}: {_points(line)}" for line in lines)
        + ".",
        drawing=_chart(f"{group.anchor}-frames-kept", axes, lines),
        data=line_data(axes, lines),
        numbers=Numbers(
            ("Method", "Frames kept", "Final accuracy, %"),
            [
                NumberRow(line.label, [str(frames), _shown(value)], line.style.swatch)
                for line in lines
                for frames, value in line.points.items()
            ],
        ),
        legend=[(line.style.swatch, line.label) for line in lines],
    )


def _asked(line: Line) -> _Asked:
    """Return what the runs of a line that have an analysis were asked; the names say where a seed has none."""
    analyses = [run.analysis for run in line.runs if run.analysis and run.analysis.frames_kept]
    some = f", {len(analyses)} of {counted(line.seeds, 'seed')}" if len(analyses) < line.seeds else ""
    return _Asked(
        analyses,
        _line(
            line.name + some, line.style, [{row.frames: row.accuracy for row in each.frames_kept} for each in analyses]
        ),
        _line(
            f"{line.name}{some}, rebuilt, true task given",
            LineStyle(line.style.number, hollow=True),
            [_rebuilt(each) for each in analyses],
        ),
    )


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


def _sweeps(families: Sequence[Family]) -> list[ChartLine]:
    """Return a line for families that differ in nothing but the frames kept, with at least two numbers of these."""
    alike: dict[str, list[Family]] = {}
    for family in families:
        record = family.runs[0].record
        if _kept(record) is not None:
            alike.setdefault(json.dumps(_without(json.loads(all_but_seed(record))), sort_keys=True), []).append(family)
    groups = [members for members in alike.values() if len({_kept(each.runs[0].record) for each in members}) > 1]
    names = [members[0].runs[0].record.method.name for members in groups]
    sweeps = []
    for members, name in zip(groups, names, strict=True):
        by_frames: dict[int, list[float | None]] = {}
        for family in members:
            fractions = [run.record.metrics.final_accuracy for run in family.runs]
            accuracies = [None if value is None else 100 * value for value in fractions]
            by_frames.setdefault(_kept(family.runs[0].record) or 0, []).extend(accuracies)
        own = name if names.count(name) == 1 else f"{name}, as {members[0].runs[0].label}"
        points = {frames: band_of(by_frames[frames]) for frames in sorted(by_frames)}
        sweeps.append(ChartLine(own, members[0].lines[0].style, points))
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


def _without(part: Any) -> Any:
    if isinstance(part, dict):
        return {key: _without(value) for key, value in part.items() if key != _SETTING}
    return [_without(each) for each in part] if isinstance(part, list) else part


def _shown(value: Band | None) -> str:
    return percent(None if value is None else value.mean / 100)


def _ends(line: ChartLine) -> str:
    ends = dict.fromkeys((min(line.points), max(line.points)))
    return ", ".join(f"{_shown(line.points[place])} of {counted(place, 'frame')}" for place in ends)


def _points(line: ChartLine) -> str:
    return ", ".join(f"{_shown(value)} with {counted(place, 'frame')}" for place, value in line.points.items())
