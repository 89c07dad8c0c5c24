"""What stands on the page, computed from the records; the templates only lay it out."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from essential.errors import RunError
from essential.published import published_for
from essential.records import ProtocolRecord, SkippedVideo
from essential.report.charts import KINDS, memory_bars
from essential.report.drawing import FigureView, LineStyle, NumberRow
from essential.report.line_figures import figures_over_tasks, frames_kept_figure, frames_read_figure, memory_figure
from essential.report.memory_scatter import OwnMethod, ScatterView, own_scatter, published_scatter
from essential.report.run_view import Line, ReportedRun, RunView
from essential.results.formats import human_bytes
from essential.results.rows import PublishedTable, other_tasks_note, published_table
from essential.results.runs import all_but_seed, distinguishing_settings, grouped_by


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
    def published(self) -> PublishedTable | None:
        """What others have published for a protocol of this name."""
        return published_table(published_for(self.protocol.name))

    @property
    def warning(self) -> str | None:
        """What to say if the runs have the name of a published protocol but not its tasks."""
        return other_tasks_note(self.protocol)

    @cached_property
    def over_tasks(self) -> list[FigureView]:
        memory = memory_figure(self.lines, self.anchor)
        return [*figures_over_tasks(self.lines, self.anchor), *([memory] if memory else []), self._memory_of_runs]

    @property
    def _memory_of_runs(self) -> FigureView:
        memories = [run.record.memory_bytes for run in self.runs]
        sizes = [[memory.total, *(getattr(memory, kind) for kind in KINDS)] for memory in memories]
        # All videos are no number of bytes.
        kept = [
            (run.label, None if run.record.method.needs_all_tasks else each)
            for run, each in zip(self.runs, sizes, strict=True)
        ]
        shown = [(label, ["all videos"] if each is None else [*map(human_bytes, each)]) for label, each in kept]
        names = [label if each else f"{label}: all videos" for label, each in kept]
        return FigureView(
            title="Memory by kind",
            note="Bytes stored after the last task.",
            description="Stacked bars, memory by kind. "
            + "; ".join(f"{name}: {each[0]}" for name, each in shown)
            + ".",
            drawing=memory_bars(f"{self.anchor}-memory-by-kind", memories, names),
            data=[
                ("run", "keeps all videos", *(f"{kind}, bytes" for kind in KINDS)),
                *((label, int(each is None), *(each[1:] if each else [None] * len(KINDS))) for label, each in kept),
            ],
            numbers=[NumberRow("Run", ["Total", *KINDS.values()]), *(NumberRow(*each) for each in shown)],
        )

    @cached_property
    def frames(self) -> list[FigureView]:
        """Accuracy against frames read, and against frames kept; those that there is ground for."""
        figures = [frames_read_figure(self.lines, self.anchor), frames_kept_figure(self.runs, self.anchor)]
        return [figure for figure in figures if figure is not None]

    @cached_property
    def scatters(self) -> list[ScatterView]:
        """Accuracy against bytes: of several methods, and beside what is published."""
        methods = [OwnMethod(str(n), line.name, line.results, line.style) for n, line in enumerate(self.lines, 1)]
        own = own_scatter(methods, self.anchor) if len(methods) > 1 else None
        beside = published_scatter(methods, self.protocol.name, self.anchor)
        return [view for view in (own, beside) if view is not None]

    @property
    def files(self) -> list[FigureView]:
        """Every figure, for files of its own."""
        return [*self.over_tasks, *self.scatters, *self.frames]


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
    settings = distinguishing_settings([members[0].record for members in families])
    lines: list[Line] = []
    for members, told in zip(families, settings, strict=True):
        seeds = len({run.record.seed for run in members})
        name = ", ".join(filter(None, (members[0].record.method.name, told)))
        for part in [members] if seeds == len(members) > 1 else [[run] for run in members]:
            style = LineStyle(len(lines))
            views = [RunView(number + i, run.label, run.record, run.analysis, style) for i, run in enumerate(part)]
            number += len(views)
            lines.append(Line(name if len(views) > 1 else views[0].label, style, tuple(views)))
    return tuple(lines)
