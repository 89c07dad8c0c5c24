"""The page of a report, one HTML file that asks the network for nothing; and the files of its figures."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from essential.errors import RunError
from essential.files.atomic import write_bytes, write_text
from essential.records import ProtocolRecord, SkippedVideo
from essential.records.analysis import MOST_FORGOTTEN, ForgottenClip
from essential.report.drawing import FigureView, LineStyle, figure_files
from essential.report.lines import (
    Line,
    ReportedRun,
    figures_over_tasks,
    frames_kept_figure,
    frames_read_figure,
    memory_figure,
)
from essential.report.memory_scatter import ScatterView, own_scatter, published_scatter
from essential.report.rendering import render
from essential.report.run_figures import RunView
from essential.results import formats
from essential.results.formats import slug
from essential.results.runs import SeedRuns, all_but_seed, distinguishing_settings, grouped_by
from essential.results.settings import settings_apart

_IMAGE_LETTERS = 700_000
"""Of all images on a page together, so that it stays below 3 MB."""


@dataclass(frozen=True, eq=False)
class GroupView:
    """All runs of one protocol, and what its figures draw, a line each."""

    number: int
    lines: tuple[Line, ...]

    @property
    def anchor(self) -> str:
        return f"protocol-{self.number + 1}"

    @cached_property
    def runs(self) -> list[RunView]:
        return [run for line in self.lines for run in line.runs]

    @property
    def protocol(self) -> ProtocolRecord:
        return self.runs[0].record.protocol

    @cached_property
    def skipped(self) -> list[tuple[SkippedVideo, list[str]]]:
        """Every video that any run left out, once, and the labels of the runs that did; none where all did."""
        left_out = [(run.label, video) for run in self.runs for video in run.record.skipped_videos]
        labels = {video: [label for label, _ in same] for video, same in grouped_by(left_out, lambda e: e[1]).items()}
        return [(video, [] if len(some) == len(self.runs) else some) for video, some in labels.items()]

    @cached_property
    def over_tasks(self) -> list[FigureView]:
        return figures_over_tasks(self.lines, self.anchor)

    @cached_property
    def memory(self) -> FigureView | None:
        """What is carried over the tasks, of one run by kind; None if it is nothing or all videos, or of one task."""
        if not any(run.several_tasks for run in self.runs):
            return None
        return self.runs[0].memory if len(self.runs) == 1 else memory_figure(self.lines, self.anchor)

    @cached_property
    def settings_apart(self) -> list[tuple[str, list[str]]]:
        """The settings in which its lines differ, and what each of them has."""
        return settings_apart([line.results for line in self.lines])

    @cached_property
    def frames(self) -> list[FigureView]:
        """Accuracy against frames read, and against frames kept; as far as there are runs for them."""
        figures = [frames_read_figure(self.lines, self.anchor), frames_kept_figure(self.runs, self.anchor)]
        return [figure for figure in figures if figure is not None]

    @cached_property
    def scatters(self) -> list[ScatterView]:
        """Accuracy against bytes: of several methods, and beside what is published."""
        own = own_scatter(self.lines, self.anchor) if len(self.lines) > 1 else None
        beside = published_scatter(self.lines, self.protocol.name, self.anchor)
        return [view for view in (own, beside) if view is not None]

    @property
    def files(self) -> list[FigureView]:
        """Every figure, for files of its own."""
        memory = self.memory if len(self.runs) > 1 else None
        return [*self.over_tasks, *([memory] if memory else []), *self.scatters, *self.frames]


def group_runs(runs: Sequence[ReportedRun]) -> list[GroupView]:
    """Group runs by protocol, and inside by everything but the seed, in the order given.

    Raises:
        RunError: there is no run.
    """
    if not runs:
        raise RunError("a report needs at least one run, 0 were given; give the folder of a finished run")
    groups: list[GroupView] = []
    for members in grouped_by(runs, lambda run: run.record.protocol.id).values():
        first = sum(len(group.runs) for group in groups)
        families = list(grouped_by(members, lambda run: all_but_seed(run.record)).values())
        groups.append(GroupView(len(groups), _lines(families, first)))
    return groups


def _lines(families: Sequence[Sequence[ReportedRun]], number: int) -> tuple[Line, ...]:
    """Return a line for each family with several seeds, each once, and for each run of another.

    Runs are numbered from `number`.
    """
    seed_runs = [SeedRuns(tuple(run.record for run in members)) for members in families]
    lines: list[Line] = []
    for members, own, apart in zip(families, seed_runs, distinguishing_settings(seed_runs), strict=True):
        seeds = len(own.seeds)
        name = ", ".join(filter(None, (own.method_name, apart)))
        for part in [members] if seeds == len(members) > 1 else [[run] for run in members]:
            style = LineStyle(len(lines))
            views = [
                RunView(number + i, run.label, run.record, run.analysis, style, run.log) for i, run in enumerate(part)
            ]
            number += len(views)
            lines.append(Line(name if len(views) > 1 else views[0].label, style, tuple(views)))
    return tuple(lines)


def write_report(runs: Sequence[ReportedRun], path: Path) -> None:
    """Write one self-contained HTML page about `runs`, in their order, whole or not at all.

    The same runs give the same bytes. Nothing in the page asks the network for anything or runs a script.

    Raises:
        RunError: there is no run.
        FileSystemError: the disk refuses.
    """
    groups = group_runs(runs)
    shown = [run for group in groups for run in group.runs]
    page = render(
        "report.html",
        groups=groups,
        forgotten=_forgotten(shown),
        swatches=swatches(_styles(shown)),
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
        files += write_figure_files(group.files, place)
        for run, name in zip(group.runs, _unique(run.label for run in group.runs), strict=True):
            files += write_figure_files(run.files, place / name)
    return files


def swatches(styles: Sequence[LineStyle]) -> dict[str, str]:
    """Return the drawing of each style's swatch by its identifier."""
    return {style.swatch: style.svg for style in dict.fromkeys(styles)}


def _styles(runs: Sequence[RunView]) -> list[LineStyle]:
    """Return the styles of runs, of what their analyses add, and of the stages of their training."""
    stages = {epoch.stage for run in runs if run.log for epoch in run.log.epochs}
    hollow = [replace(run.style, hollow=True) for run in runs if run.analysis]
    return [*(run.style for run in runs), *hollow, *map(LineStyle, range(len(stages)))]


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


def write_figure_files(figures: Sequence[FigureView], folder: Path) -> list[Path]:
    """Write figures as SVG, PDF and CSV into a folder, and return the files; errors as of `write_figures`."""
    files = []
    for figure in figures:
        contents = {**figure_files(figure.drawing), "csv": formats.as_csv(figure.data).encode()}
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
