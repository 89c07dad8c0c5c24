"""Runs as a page shows them: what its templates ask of a record, and the lines that figures draw of runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest

from essential.records import Record
from essential.records.analysis import Analysis
from essential.report.charts import ChartLine
from essential.report.drawing import LineStyle
from essential.results.runs import SeedRuns, spread_of


@dataclass(frozen=True)
class ReportedRun:
    """A run's name, its record, and its analysis: figures that the record alone does not give."""

    name: str
    record: Record
    analysis: Analysis | None = None

    def __post_init__(self) -> None:
        """Refuse an analysis of another run: its figures would be shown as this one's."""
        if self.analysis:
            self.analysis.refuse_another(self.name, self.record)

    @property
    def label(self) -> str:
        """What the run is called on the page: its name, and a mark where its files do not vouch for themselves."""
        return self.record.marked(self.name, self.analysis)


@dataclass(frozen=True, eq=False)
class RunView:
    """One run: `number` counts from 0 over the page, `style` is how its line is drawn in its group's figures."""

    number: int
    label: str
    record: Record
    analysis: Analysis | None
    style: LineStyle

    @property
    def anchor(self) -> str:
        return f"run-{self.number + 1}"

    @property
    def class_accuracies(self) -> list[tuple[str, int, float | None]]:
        """Each class learned, its task's number from 1, and the accuracy on it after the last task."""
        tasks = self.record.protocol.tasks
        classes = [(name, number) for number, task in enumerate(tasks, start=1) for name in task.classes]
        return [(*each, accuracy) for each, accuracy in zip(classes, self.record.class_accuracy, strict=False)]


Values = Sequence[float | None]


@dataclass(frozen=True, eq=False)
class Line:
    """What is drawn as one line: a single run, or all seeds of a method."""

    name: str
    style: LineStyle
    runs: tuple[RunView, ...]

    @property
    def seeds(self) -> int:
        return len(self.runs)

    @cached_property
    def results(self) -> SeedRuns:
        """What the runs amount to together."""
        return SeedRuns(tuple(run.record for run in self.runs))

    def chart_line(self, values: Callable[[RunView], Values]) -> ChartLine:
        """Return the spread over the runs at each place; there is none where one of them has no value."""
        columns = enumerate(zip_longest(*map(values, self.runs)), start=1)
        return ChartLine(self.name, self.style, {place: spread_of(column) for place, column in columns})
