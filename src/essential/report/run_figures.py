"""What the page shows of one run beyond its numbers: its memory, and what its analysis gives."""

from dataclasses import dataclass

from essential.report.class_falls import ClassFall, falls_figure, falls_of
from essential.report.confusion import ConfusionView, confusion_of, matrix_figure
from essential.report.figure_view import FigureView, NumberRow
from essential.report.formats import byte_power, byte_unit, human_bytes, inside
from essential.report.memory_charts import memory_over_tasks
from essential.report.run_view import KINDS, RunView
from essential.report.token_figures import Mark, distance_figure, token_looks, token_map_figure


@dataclass(frozen=True, eq=False)
class RunFigures:
    """The figures of a run; what there is no ground for is None or empty.

    `memory_kinds` has the kinds that its memory holds after any task, with their titles.
    """

    run: RunView
    matrix: FigureView
    memory: FigureView | None
    memory_kinds: dict[str, str]
    falls: list[ClassFall]
    falls_file: FigureView | None
    confusion: ConfusionView | None
    tokens: FigureView | None
    distances: FigureView | None

    @property
    def token_looks(self) -> list[tuple[str, Mark, int]]:
        """The name, mark and colour of each kind of token on its map."""
        embedding = self.run.analysis.embedding if self.run.analysis else None
        return token_looks(embedding.points) if embedding else []

    @property
    def files(self) -> list[FigureView]:
        """Every figure, for files of its own."""
        by_class = [self.confusion.figure, self.confusion.task_figure] if self.confusion else []
        figures = [self.matrix, self.memory, self.falls_file, *by_class, self.tokens, self.distances]
        return [figure for figure in figures if figure is not None]


def run_figures(run: RunView) -> RunFigures:
    """Return the figures of a run."""
    analysis = run.analysis
    falls = falls_of(analysis) if analysis else []
    memories = run.record.memory_bytes_by_task
    kinds = {kind: title for kind, title in KINDS.items() if any(getattr(memory, kind) for memory in memories)}
    return RunFigures(
        run=run,
        matrix=matrix_figure(run),
        memory=_memory(run, kinds) if kinds else None,
        memory_kinds=kinds,
        falls=falls,
        falls_file=falls_figure(run, falls) if falls else None,
        confusion=confusion_of(run, analysis) if analysis else None,
        tokens=token_map_figure(run, analysis.embedding, analysis.class_names)
        if analysis and analysis.embedding
        else None,
        distances=distance_figure(run, analysis) if analysis else None,
    )


def _memory(run: RunView, kinds: dict[str, str]) -> FigureView:
    """Memory by kind over the tasks."""
    memories = run.record.memory_bytes_by_task
    unit = byte_unit(byte_power(max(memory.total for memory in memories)))
    last = ", ".join(f"{inside(title)} {human_bytes(getattr(memories[-1], kind))}" for kind, title in kinds.items())
    return FigureView(
        title="Memory by kind over tasks",
        note=f"All bytes carried on to the next task, in {unit}, by what they hold.",
        description=f"Stacked bars, memory by kind after each of {len(memories)} tasks; after the last: {last}.",
        drawing=memory_over_tasks(f"{run.anchor}-memory", memories),
        data=[
            ("after task", *(f"{kind}, bytes" for kind in kinds)),
            *((task, *(getattr(memory, kind) for kind in kinds)) for task, memory in enumerate(memories, 1)),
        ],
        numbers=[
            NumberRow("After task", [*map(str, range(1, len(memories) + 1))]),
            *(
                NumberRow(title, [human_bytes(getattr(memory, kind)) for memory in memories])
                for kind, title in kinds.items()
            ),
        ],
    )
