"""Runs as a page shows them: what its templates ask of a record, and the lines that figures draw of runs."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest

from essential.records import Record
from essential.records.analysis import Analysis
from essential.report.charts import KINDS, ChartLine
from essential.report.drawing import LineStyle
from essential.results.formats import counted, inside
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
    def bytes_in_paper_figure(self) -> int:
        return sum(entry.bytes for entry in self.record.ledger if entry.in_paper_figure)

    @property
    def bytes_left_out(self) -> int:
        return sum(entry.bytes for entry in self.record.ledger if not entry.in_paper_figure)

    @property
    def left_out(self) -> str:
        """What a paper's memory figure does not count: each kind, with its number of entries in the ledger."""
        kinds = [entry.kind for entry in self.record.ledger if not entry.in_paper_figure]
        parts = [f"{inside(KINDS.get(k, k))} ({counted(kinds.count(k), 'entry')})" for k in dict.fromkeys(kinds)]
        return ", ".join(parts) or "nothing"

    @property
    def class_accuracies(self) -> list[tuple[str, int, float | None]]:
        """Each class learned, its task's number from 1, and the accuracy on it after the last task."""
        tasks = self.record.protocol.tasks
        classes = [(name, number) for number, task in enumerate(tasks, start=1) for name in task.classes]
        return [(*each, accuracy) for each, accuracy in zip(classes, self.record.class_accuracy, strict=False)]

    @property
    def details(self) -> list[tuple[str, str]]:
        """Titles and indented JSON of what the run was made with."""
        parts = {
            "Method settings": self.record.method.config,
            "Full configuration": self.record.config,
            "Data": self.record.data,
            "Versions": self.record.versions,
        }
        return [(title, json.dumps(part, indent=2, ensure_ascii=False)) for title, part in parts.items()]


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
