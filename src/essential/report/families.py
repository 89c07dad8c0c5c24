"""Runs that differ in their seed alone, and the lines that figures draw of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest

from essential.records import Record
from essential.report.charts import Band, ChartLine
from essential.report.line_style import LineStyle
from essential.report.run_view import RunView
from essential.results.runs import SeedRuns, flattened, settings_apart

_SETTINGS_NAMED = 2


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

    def chart_line(self, values: Callable[[RunView], Sequence[float | None]]) -> ChartLine:
        """Return the mean over the runs at each place, where all have a value, and the least and greatest."""
        columns = enumerate(zip_longest(*map(values, self.runs)), start=1)
        return ChartLine(self.name, self.style, {place: band_of(column) for place, column in columns})


@dataclass(frozen=True)
class Family:
    """Runs that differ in their seed alone, their lines, and their mean if there are several seeds."""

    runs: tuple[RunView, ...]
    lines: tuple[Line, ...]
    mean: SeedRuns | None


def band_of(values: Sequence[float | None]) -> Band | None:
    """Return the mean, the least, the greatest and the number of values; None unless all are known."""
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return None
    return Band(sum(known) / len(known), min(known), max(known), len(known))


def differ_in_seed_alone(records: Sequence[Record]) -> bool:
    """Whether the records of one family have several seeds, each once, so that a mean says something."""
    return len(records) > 1 and len({record.seed for record in records}) == len(records)


def family_names(families: Sequence[Sequence[Record]]) -> list[str]:
    """Return a name for each family: its method, and the settings in which it differs from others of that method."""
    methods = [records[0].method for records in families]
    settings = [dict(flattened(method.config)) for method in methods]
    names = []
    for method, own in zip(methods, settings, strict=True):
        alike = [each for each, other in zip(settings, methods, strict=True) if other.name == method.name]
        told = [f"{key} {own[key]}" for key in settings_apart(alike) if key in own]
        names.append(", ".join([method.name, *told[:_SETTINGS_NAMED]]))
    return names
