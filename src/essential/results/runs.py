"""Runs that differ in their seed alone: one line of a table, a figure or a board."""

import json
import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean, stdev
from typing import Any, TypeVar

from essential.nested import as_json, flattened, keys_apart
from essential.records import MemoryBytes, Record
from essential.results.formats import budget_shown, counted, percent
from essential.results.measures import FINAL, in_order, values_of

_ELSEWHERE = ("seed", "data", "encoder", "protocol", "method")
"""Parts of a config that pages show in other places."""
_SETTINGS_SHOWN = 4
_COVERAGE = {"train": "trained on {} % of the training videos", "test": "tested on {} % of the test videos"}
_Key = TypeVar("_Key", bound=Hashable)
_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Spread:
    """Mean, sample standard deviation (n - 1), least and greatest over seeds.

    One seed has no deviation; there is nothing but `seeds` if one of them has no value.
    """

    mean: float | None
    std: float | None
    least: float | None = None
    greatest: float | None = None
    seeds: int = 0

    @property
    def shown(self) -> str:
        """0.875 and 0.01 as "87.50 ± 1.00"; without a deviation the mean alone."""
        return percent(self.mean, 2) + ("" if self.std is None else f" ± {percent(self.std, 2)}")


def spread_of(values: Iterable[float | None]) -> Spread:
    """Return the spread of one value per seed; the order of the seeds makes no difference."""
    all_values = list(values)
    known = [value for value in all_values if value is not None]
    if not known or len(known) < len(all_values):
        return Spread(None, None, seeds=len(all_values))
    deviation = stdev(known) if len(known) > 1 else None
    return Spread(fmean(known), deviation, min(known), max(known), len(known))


@dataclass(frozen=True, eq=False)
class SeedRuns:
    """Records of one method with the same settings, encoder and protocol. At least one."""

    records: tuple[Record, ...]

    @property
    def example(self) -> Record:
        """One of the records, to read what all have in common from."""
        return self.records[0]

    @property
    def method_name(self) -> str:
        """The name that was asked for, such as slda-temporal; the method's own where no record says it."""
        return next((r.method.shown for r in self.records if r.method.asked_for), self.example.method.name)

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(sorted({record.seed for record in self.records}))

    @property
    def needs_all_tasks(self) -> bool:
        """Whether the method was given the videos of all tasks, which is against the rules and no matter of bytes."""
        return any(record.method.needs_all_tasks for record in self.records)

    @cached_property
    def measures(self) -> dict[str, Spread]:
        """Every metric of the records; runs of one seed count once, by their mean."""
        by_seed = grouped_by(self.records, lambda record: record.seed).values()
        values = [[values_of(record) for record in same] for same in by_seed]
        return {
            name: spread_of(spread_of(each.get(name) for each in same).mean for same in values)
            for name in in_order(name for same in values for each in same for name in each)
        }

    def spread(self, metric: str) -> Spread:
        return self.measures.get(metric, Spread(None, None))

    @property
    def final(self) -> float:
        """The final accuracy, to sort by; -1 where it is not known."""
        mean = self.spread(FINAL).mean
        return -1.0 if mean is None else mean

    def kept(self, kind: str) -> int:
        """Bytes of a kind after the last task, the mean over runs; `budgeted` is all but the MR modules."""
        return round(self.mean(lambda record: getattr(record.memory_bytes, kind)))

    @cached_property
    def memories(self) -> list[MemoryBytes]:
        """What was kept after every task of every run."""
        return [memory for record in self.records for memory in (*record.memory_bytes_by_task, record.memory_bytes)]

    @property
    def carried_bytes(self) -> int | None:
        """The most that was carried on after a task, over tasks and seeds, MR modules included; None: all videos."""
        return None if self.needs_all_tasks else max(memory.total for memory in self.memories)

    def mean(self, value: Callable[[Record], float]) -> float:
        return fmean(value(record) for record in self.records)

    @cached_property
    def skipped_tests(self) -> frozenset[str]:
        """The test videos that one of the runs went on without."""
        return frozenset(v.video for record in self.records for v in record.skipped_videos if v.split == "test")

    @property
    def backbone(self) -> str:
        """The encoder, and of how many frames a clip is, where the config says it."""
        frames = dict(flattened(self.example.config)).get("video.frames")
        return self.example.encoder.name + (f", {counted(frames, 'frame')}" if isinstance(frames, int) else "")

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know before comparing it."""
        notes = ["given the videos of all tasks at once: an upper bound"] if self.needs_all_tasks else []
        for split, words in _COVERAGE.items():
            shares = [share for record in self.records if (share := record.coverage(split)) is not None]
            if shares and min(shares) < 1:
                # Rounded down: 100.0 % would say that none is missing.
                notes.append(words.format(percent(math.floor(1000 * min(shares)) / 1000)))
        again = [seed for seed, times in Counter(record.seed for record in self.records).items() if times > 1]
        if again:
            notes.append(f"several runs of seed {', '.join(map(str, sorted(again)))}, which count once")
        return (*notes, *mark_notes(self.records))


def grouped_by(items: Iterable[_Item], key: Callable[[_Item], _Key]) -> dict[_Key, list[_Item]]:
    """Return the items by their key, in the order in which they come."""
    groups: dict[_Key, list[_Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def all_but_seed(record: Record) -> str:
    """Return what runs that differ in their seed alone have in common."""
    config = {key: value for key, value in record.config.items() if key != "seed"}
    # One method has several names, and records of older versions none.
    parts = [
        record.method.model_dump(mode="json", exclude={"asked_for"}),
        record.encoder.model_dump(mode="json", exclude_none=True),
        config,
    ]
    return json.dumps(parts, sort_keys=True, default=str)


def distinguishing_settings(families: Sequence[SeedRuns]) -> list[str]:
    """Return, for each, the settings by which those of the same name differ; empty where there is one."""
    settings = [dict(_settings(family.example)) for family in families]
    names = [family.method_name for family in families]
    of_method = grouped_by(zip(names, settings, strict=True), lambda named: named[0])
    apart = {name: keys_apart([own for _, own in same]) for name, same in of_method.items()}
    return [_in_short(own, apart[name]) for name, own in zip(names, settings, strict=True)]


def _in_short(settings: Mapping[str, Any], keys: Sequence[str]) -> str:
    shown = [_setting(key, settings[key]) for key in keys[:_SETTINGS_SHOWN] if key in settings]
    more = [f"and {len(keys) - _SETTINGS_SHOWN} more"] if len(keys) > _SETTINGS_SHOWN else []
    return ", ".join([*shown, *more])


def _setting(key: str, value: Any) -> str:
    if key.rpartition(".")[2] != "budget_bytes":
        return f"{key}={as_json(value)}"
    return f"budget {budget_shown(value)}" if isinstance(value, int) else "no budget"


def _settings(record: Record) -> Iterator[tuple[str, Any]]:
    yield from flattened(record.method.config)
    yield from flattened({key: value for key, value in record.config.items() if key not in _ELSEWHERE})


def mark_notes(records: Sequence[Record]) -> list[str]:
    """Return how many of the records have no digest or were changed, by the reason."""
    marks = Counter(record.mark for record in records if record.mark)
    of = f"of {len(records)} record{'s' if len(records) > 1 else ''}"
    return [f"{mark}: {times} {of}" for mark, times in sorted(marks.items())]
