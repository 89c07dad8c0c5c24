"""The page itself: one HTML file that asks the network for nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from essential.files.atomic import write_text
from essential.records.analysis import MOST_FORGOTTEN, ForgottenClip
from essential.report.contents import group_runs, memory_segments
from essential.report.drawing import inline_svg
from essential.report.frames_figures import hollow_styles
from essential.report.group_figures import GroupFigures
from essential.report.line_style import LineStyle
from essential.report.rendering import render
from essential.report.run_figures import run_figures
from essential.report.run_view import KINDS, ReportedRun, RunView

_PICTURE_LETTERS = 700_000
"""Of all pictures on a page together, so that it stays below 3 MB."""


@dataclass(frozen=True)
class ForgottenView:
    """The clips shown of a run, and how many there are in all."""

    clips: Sequence[ForgottenClip]
    count: int


def write_report(runs: Sequence[ReportedRun], path: Path) -> None:
    """Write one self-contained HTML page about `runs`.

    The same runs give the same bytes. Nothing in the page asks the network for anything or runs a script.

    Args:
        runs: in the order to show.
        path: the HTML file to write, whole or not at all.

    Raises:
        RunError: there is no run.
        FileSystemError: the disk refuses.
    """
    groups = group_runs(runs)
    shown = [run for group in groups for run in group.runs]
    page = render(
        "report.html",
        groups=groups,
        figures={group: GroupFigures(group) for group in groups},
        of_run={run: run_figures(run) for run in shown},
        forgotten=_forgotten(shown),
        swatches=swatches([run.style for run in shown] + hollow_styles(shown)),
        has_pictures=any(run.analysis for run in shown),
        run_count=len(runs),
        kinds=KINDS,
        segments=memory_segments,
    )
    write_text(path, page)


def swatches(styles: Sequence[LineStyle]) -> dict[str, str]:
    """Return the drawing of each style's swatch by its identifier."""
    return {style.swatch: inline_svg(style.drawing) for style in dict.fromkeys(styles)}


def _forgotten(runs: Sequence[RunView]) -> dict[RunView, ForgottenView]:
    """Return what is shown of each run, in turns until the page is full: the surest mistakes of every run first."""
    analyses = [(run, run.analysis) for run in runs if run.analysis and run.analysis.forgotten]
    chosen: dict[RunView, list[ForgottenClip]] = {run: [] for run, _ in analyses}
    room = _PICTURE_LETTERS
    for place in range(MOST_FORGOTTEN):
        for run, analysis in analyses:
            for clip in analysis.forgotten[place : place + 1]:
                room -= sum(map(len, clip.frames))
                if room >= 0:
                    chosen[run].append(clip)
    return {run: ForgottenView(chosen[run], analysis.forgotten_count) for run, analysis in analyses}
