"""Runs that differ in their seed alone, and the lines that figures draw of them."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from essential.records import Record
from essential.report.charts import Band, ChartLine
from essential.report.formats import NONE, counted, plus_minus
from essential.report.line_style import LineStyle
from essential.report.run_view import RunView
from essential.report.significance import sample_deviation

_SETTINGS_NAMED = 2


@dataclass(frozen=True)
class SeedMean:
    """Mean and sample standard deviation over runs that differ in their seed alone, in percent."""

    seeds: tuple[int, ...]
    final_accuracy: str
    average_incremental_accuracy: str
    forgetting_from_best: str
    backward_forgetting: str


@dataclass(frozen=True, eq=False)
class Line:
    """What is drawn as one line: a single run, or all seeds of a method."""

    name: str
    style: LineStyle
    runs: tuple[RunView, ...]

    @property
    def swatch(self) -> str:
        """The identifier of its swatch on the page."""
        return self.runs[0].swatch

    @property
    def seeds(self) -> int:
        return len(self.runs)

    @property
    def keeps_all_videos(self) -> bool:
        return any(run.record.method.needs_all_tasks for run in self.runs)

    def chart_line(self, values: Callable[[RunView], Sequence[float | None]]) -> ChartLine:
        """Return the mean over the runs at each place, where all have a value, and the least and greatest."""
        by_run = [values(run) for run in self.runs]
        longest = max(len(numbers) for numbers in by_run)
        columns = [[numbers[i] if i < len(numbers) else None for numbers in by_run] for i in range(longest)]
        return ChartLine(self.name, self.style, [band_of(column) for column in columns])


@dataclass(frozen=True)
class Family:
    """Runs that differ in their seed alone, their lines, and their mean if there are several seeds."""

    runs: tuple[RunView, ...]
    lines: tuple[Line, ...]
    mean: SeedMean | None


def band_of(values: Sequence[float | None]) -> Band | None:
    """Return the mean, the least, the greatest and the number of values; None unless all are known."""
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return None
    return Band(sum(known) / len(known), min(known), max(known), len(known))


def all_but_seed(record: Record) -> str:
    """Return what runs of one family have in common."""
    config = {key: value for key, value in record.config.items() if key != "seed"}
    parts = [record.method.model_dump(mode="json"), record.encoder.model_dump(mode="json"), config]
    return json.dumps(parts, sort_keys=True, default=str)


def differ_in_seed_alone(records: Sequence[Record]) -> bool:
    """Whether the records of one family have several seeds, each once, so that a mean says something."""
    return len(records) > 1 and len({record.seed for record in records}) == len(records)


def mark_notes(records: Sequence[Record]) -> list[str]:
    """Return how many of the records' files do not vouch for themselves, by the reason."""
    marks = Counter(record.mark for record in records if record.mark)
    return [f"{mark}: {times} of {counted(len(records), 'record')}" for mark, times in sorted(marks.items())]


def family_names(families: Sequence[Sequence[Record]]) -> list[str]:
    """Return a name for each family: its method, and the settings in which it differs from others of that method."""
    methods = [records[0].method.name for records in families]
    names = []
    for records, method in zip(families, methods, strict=True):
        alike = [other[0] for other, name in zip(families, methods, strict=True) if name == method]
        names.append(", ".join([method, *_settings_apart(records[0], alike)]))
    return names


def seed_mean(runs: Sequence[RunView]) -> SeedMean:
    """Return the means and deviations of several seeds."""
    metrics = [run.record.metrics for run in runs]
    return SeedMean(
        seeds=tuple(sorted(run.record.seed for run in runs)),
        final_accuracy=_spread([m.final_accuracy for m in metrics]),
        average_incremental_accuracy=_spread([m.average_incremental_accuracy for m in metrics]),
        forgetting_from_best=_spread([m.forgetting_from_best for m in metrics]),
        backward_forgetting=_spread([m.backward_forgetting for m in metrics]),
    )


def _settings_apart(record: Record, alike: Sequence[Record]) -> list[str]:
    """Name a few of the method's settings in which records of one method differ, with this record's values."""
    flat = [_flat(other.method.config) for other in alike]
    own = _flat(record.method.config)
    keys = [key for key in own if len({repr(settings.get(key)) for settings in flat}) > 1]
    return [f"{key} {own[key]}" for key in keys[:_SETTINGS_NAMED]]


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _spread(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return NONE
    return plus_minus(sum(known) / len(known), sample_deviation(known))
