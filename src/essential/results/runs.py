"""Runs that differ in their seed alone: one line of a table, a figure or a board."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from essential.metrics import METRICS
from essential.records import Record

MEASURES = tuple(name for name in METRICS if name != "forgetting_from_first")
"""What is averaged over seeds: names of `essential.records.Metrics`, each number under one name."""


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation (n - 1) over seeds: one seed has no deviation; None if a seed has no value."""

    mean: float | None
    std: float | None


def spread_of(values: Sequence[float | None]) -> Spread:
    """Return mean and deviation of one value per seed; the order of the seeds makes no difference."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return Spread(None, None)
    return Spread(fmean(known), stdev(known) if len(known) > 1 else None)


@dataclass(frozen=True, eq=False)
class SeedRuns:
    """Records of one method with the same settings, encoder and protocol. At least one."""

    records: tuple[Record, ...]

    @property
    def example(self) -> Record:
        """One of the records, to read what all have in common from."""
        return self.records[0]

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(sorted({record.seed for record in self.records}))

    @property
    def needs_all_tasks(self) -> bool:
        """Whether the method was given the videos of all tasks, which is against the rules and no matter of bytes."""
        return any(record.method.needs_all_tasks for record in self.records)

    def spread(self, metric: str) -> Spread:
        """Return mean and deviation over seeds; runs of one seed count once, by their mean."""
        by_seed: dict[int, list[float | None]] = {}
        for record in self.records:
            by_seed.setdefault(record.seed, []).append(getattr(record.metrics, metric))
        return spread_of([spread_of(values).mean for values in by_seed.values()])

    def kept(self, kind: str) -> int:
        """Bytes of a kind after the last task, the mean over runs; `budgeted` is all but the MR modules."""
        return round(self.mean(lambda record: getattr(record.memory_bytes, kind)))

    def mean(self, value: Callable[[Record], float]) -> float:
        """Return the mean over runs."""
        return fmean(value(record) for record in self.records)


def all_but_seed(record: Record) -> str:
    """Return what runs that differ in their seed alone have in common."""
    config = {key: value for key, value in record.config.items() if key != "seed"}
    parts = [record.method.model_dump(mode="json"), record.encoder.model_dump(mode="json"), config]
    return json.dumps(parts, sort_keys=True, default=str)


def flattened(content: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Give every value of nested mappings with its key in the form section.key."""
    if isinstance(content, Mapping) and content:
        for key, value in content.items():
            yield from flattened(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, content


def settings_apart(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the keys at which flat settings differ, one of which may lack a key."""
    keys = dict.fromkeys(key for each in settings for key in each)
    # A record that was read has lists where one just made has tuples: as JSON they are the same.
    told = [{key: json.dumps(value, default=str) for key, value in each.items()} for each in settings]
    return [key for key in keys if len({each.get(key) for each in told}) > 1]


def mark_notes(records: Sequence[Record]) -> list[str]:
    """Return how many of the records' files do not vouch for themselves, by the reason."""
    marks = Counter(record.mark for record in records if record.mark)
    of = f"of {len(records)} record{'s' if len(records) > 1 else ''}"
    return [f"{mark}: {times} {of}" for mark, times in sorted(marks.items())]
