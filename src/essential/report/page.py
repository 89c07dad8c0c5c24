"""The page of a report, one HTML file that asks the network for nothing; and its figures as files."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from essential.files.atomic import write_bytes, write_text
from essential.records.analysis import MOST_FORGOTTEN, ForgottenClip
from essential.report.contents import group_runs
from essential.report.drawing import FigureView, LineStyle, figure_files
from essential.report.line_figures import hollow_styles
from essential.report.rendering import render
from essential.report.run_figures import RunFigures
from essential.report.run_view import ReportedRun, RunView
from essential.results.formats import as_csv, slug

_IMAGE_LETTERS = 700_000
"""Of all images on a page together, so that it stays below 3 MB."""


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
        of_run={run: RunFigures(run) for run in shown},
        forgotten=_forgotten(shown),
        swatches=swatches([run.style for run in shown] + hollow_styles(shown)),
        has_images=any(run.analysis for run in shown),
        run_count=len(runs),
    )
    write_text(path, page)


def write_figures(runs: Sequence[ReportedRun], folder: Path) -> list[Path]:
    """Write the figures of a report, each as SVG, PDF and CSV, named by what it shows; return the files.

    Those of one run go into a folder named after it; where runs are of several protocols, those of each protocol do
    too. The same runs give the same bytes. Each file appears whole or not at all; other files are left alone.

    Raises:
        RunError: there is no run.
        FileSystemError: the disk refuses.
    """
    groups = group_runs(runs)
    files: list[Path] = []
    for group, part in zip(groups, _unique(group.protocol.name for group in groups), strict=True):
        place = folder / part if len(groups) > 1 else folder
        files += _write(group.files, place)
        for run, name in zip(group.runs, _unique(run.label for run in group.runs), strict=True):
            files += _write(RunFigures(run).files, place / name)
    return files


def swatches(styles: Sequence[LineStyle]) -> dict[str, str]:
    """Return the drawing of each style's swatch by its identifier."""
    return {style.swatch: style.svg for style in dict.fromkeys(styles)}


def _forgotten(runs: Sequence[RunView]) -> dict[RunView, list[ForgottenClip]]:
    """Return the clips shown of each run, in turns until the page is full: the most confident mistakes first."""
    analyses = [(run, run.analysis) for run in runs if run.analysis and run.analysis.forgotten]
    chosen: dict[RunView, list[ForgottenClip]] = {run: [] for run, _ in analyses}
    room = _IMAGE_LETTERS
    for place in range(MOST_FORGOTTEN):
        for run, analysis in analyses:
            for clip in analysis.forgotten[place : place + 1]:
                room -= sum(map(len, clip.frames))
                if room >= 0:
                    chosen[run].append(clip)
    return chosen


def _write(figures: Sequence[FigureView], folder: Path) -> list[Path]:
    files = []
    for figure in figures:
        contents = {**figure_files(figure.drawing), "csv": as_csv(figure.data).encode()}
        for kind, content in contents.items():
            files.append(folder / f"{slug(figure.title)}.{kind}")
            write_bytes(files[-1], content)
    return files


def _unique(names: Iterable[str]) -> list[str]:
    """Return a name for a folder for each, numbered where two would be the same."""
    taken: list[str] = []
    for wanted in map(slug, names):
        numbered = (f"{wanted}-{number}" for number in range(2, len(taken) + 3))
        taken.append(next(name for name in (wanted, *numbered) if name not in taken))
    return taken
