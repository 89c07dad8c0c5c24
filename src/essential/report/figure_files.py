"""Every figure of a report as SVG, PDF and CSV, for papers and for programs."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from essential.files.atomic import write_bytes
from essential.report.contents import group_runs
from essential.report.drawing import figure_files
from essential.report.figure_view import FigureView
from essential.report.formats import as_csv, slug
from essential.report.group_figures import GroupFigures
from essential.report.run_figures import run_figures
from essential.report.run_view import ReportedRun


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
        files += _write(GroupFigures(group).files, place)
        for run, name in zip(group.runs, _unique(run.label for run in group.runs), strict=True):
            files += _write(run_figures(run).files, place / name)
    return files


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
    for name in names:
        wanted, number = slug(name), 1
        while (own := wanted if number == 1 else f"{wanted}-{number}") in taken:
            number += 1
        taken.append(own)
    return taken
