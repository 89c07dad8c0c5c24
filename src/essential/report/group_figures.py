"""What the page shows of a group of runs beside each other."""

from dataclasses import dataclass
from functools import cached_property

from essential.report.contents import GroupView
from essential.report.figure_view import FigureView
from essential.report.figures import figures_over_tasks, memory_figure
from essential.report.frames_figures import frames_kept_figure, frames_read_figure
from essential.report.memory_charts import memory_of_runs
from essential.report.memory_scatter import OwnMethod, ScatterView, own_scatter, published_scatter
from essential.report.run_view import KINDS


@dataclass(frozen=True, eq=False)
class GroupFigures:
    """The figures of a group; those that there is no ground for are None or missing."""

    group: GroupView

    @cached_property
    def over_tasks(self) -> list[FigureView]:
        lines, anchor = self.group.lines, self.group.anchor
        memory = memory_figure(lines, anchor)
        return figures_over_tasks(lines, anchor) + ([memory] if memory else [])

    @cached_property
    def frames(self) -> list[FigureView]:
        """Accuracy against frames read, and against frames kept."""
        figures = [frames_read_figure(self.group), frames_kept_figure(self.group)]
        return [figure for figure in figures if figure is not None]

    @cached_property
    def scatters(self) -> list[ScatterView]:
        """Accuracy against bytes: of several methods, and beside what is published."""
        lines = enumerate(self.group.lines, 1)
        methods = [OwnMethod(str(number), line.name, line.results, line.style) for number, line in lines]
        own = own_scatter(methods, self.group.anchor) if len(methods) > 1 else None
        beside = published_scatter(methods, self.group.protocol.name, self.group.anchor)
        return [view for view in (own, beside) if view is not None]

    @property
    def files(self) -> list[FigureView]:
        """Every figure, for files of its own."""
        return [*self.over_tasks, _memory_of_runs(self.group), *(view.figure for view in self.scatters), *self.frames]


def _memory_of_runs(group: GroupView) -> FigureView:
    """Memory by kind, for files: on the page it is a list of bars."""
    memories = [
        (f"{run.label}: all videos" if run.record.method.needs_all_tasks else run.label, run.record.memory_bytes)
        for run in group.runs
    ]
    return FigureView(
        title="Memory by kind",
        drawing=memory_of_runs(f"{group.anchor}-memory-by-kind", memories),
        data=[
            ("run", "keeps all videos", *(f"{kind}, bytes" for kind in KINDS)),
            # All videos are no number of bytes.
            *(
                (run.label, 1, *[None] * len(KINDS))
                if run.record.method.needs_all_tasks
                else (run.label, 0, *(getattr(run.record.memory_bytes, kind) for kind in KINDS))
                for run in group.runs
            ),
        ],
    )
