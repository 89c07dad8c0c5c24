"""Methods side by side: what their finished runs, several seeds each, amount to."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean
from typing import Any

import numpy as np

from essential.errors import ComparisonError
from essential.metrics import forward_transfer
from essential.records import Record
from essential.results.formats import counted, percent
from essential.results.measures import FINAL, FORWARD_TRANSFER, REFERENCE, in_order, values_of
from essential.results.runs import SeedRuns, Spread, differences, grouped_by, mark_notes, spread_of

BASELINE = "essential"
_NAMES_SHOWN = 3
Run = tuple[str, Record]
"""A method's name, as the user wrote it, and a record."""
_ALL_EQUAL = 1e-9
"""Differences of accuracies are multiples of one over the number of test videos; what is closer is rounding."""


@dataclass(frozen=True)
class PairedTest:
    """A method's mean final accuracy minus the baseline's, over the seeds that both have, at least one.

    `p` is of the two-sided paired t-test, None with one seed, or if all differences are equal; `p_holm` is `p`
    corrected for all methods that were tested.
    """

    seeds: tuple[int, ...]
    difference: float
    p: float | None
    p_holm: float | None = None


@dataclass(frozen=True, eq=False)
class MethodRow(SeedRuns):
    """One method's runs, by seed: ranked from 1 by final accuracy, and tested unless it is the baseline.

    `forward_transfer` is one of its measures, without a value where `REFERENCE` has no run of a seed.
    """

    method: str
    budget_bytes: int | None
    rank: int
    test: PairedTest | None
    forward_transfer: Spread

    @cached_property
    def measures(self) -> dict[str, Spread]:
        return {**super().measures, FORWARD_TRANSFER: self.forward_transfer}

    @property
    def final_accuracy(self) -> Spread:
        return self.spread(FINAL)

    @property
    def memory_bytes(self) -> int:
        """What papers compare methods at, and a budget caps."""
        return self.kept("budgeted")

    @property
    def within_budget(self) -> bool | None:
        """Whether no seed kept more than the budget after any task; None without a budget."""
        if self.budget_bytes is None:
            return None
        kept = [memory for record in self.records for memory in (*record.memory_bytes_by_task, record.memory_bytes)]
        return not self.needs_all_tasks and max(memory.budgeted for memory in kept) <= self.budget_bytes

    @property
    def keeps_to_the_rules(self) -> bool:
        """Whether it saw one task at a time and kept to the budget, if there is one."""
        return not self.needs_all_tasks and self.within_budget is not False

    @property
    def trainable_parameters(self) -> int | None:
        """What the last task trains; None if a record does not say."""
        known = [record.trainable_parameters for record in self.records if record.trainable_parameters is not None]
        return round(sum(known) / len(known)) if len(known) == len(self.records) else None

    @property
    def train_seconds(self) -> float:
        return self.mean(lambda record: record.seconds.train)

    @property
    def evaluate_seconds(self) -> float:
        return self.mean(lambda record: record.seconds.evaluate)

    @property
    def seconds(self) -> float:
        """Of one run, without the extraction of features, which all runs share."""
        return self.train_seconds + self.evaluate_seconds


@dataclass(frozen=True, eq=False)
class Comparison:
    """Methods in the order the user gave, what their runs share, and the method that all others are tested against."""

    rows: tuple[MethodRow, ...]
    baseline: str
    budget_bytes: int | None

    @cached_property
    def ranked(self) -> list[MethodRow]:
        """The rows by final accuracy, the best first."""
        return sorted(self.rows, key=lambda row: row.rank)

    @property
    def example(self) -> Record:
        """One of the records, to read what all have in common from."""
        return self.rows[0].example

    @property
    def seeds(self) -> list[int]:
        return sorted({seed for row in self.rows for seed in row.seeds})

    @cached_property
    def metrics(self) -> list[str]:
        """The names of all measures that a method has."""
        return in_order(name for row in self.rows for name in row.measures)

    @property
    def extract_seconds(self) -> float:
        """What all runs together spent on reading features; a comparison extracts them before its runs."""
        return sum(record.seconds.extract for row in self.rows for record in row.records)

    @property
    def tested(self) -> int:
        """For how many methods there is a p value."""
        return sum(row.test is not None and row.test.p is not None for row in self.rows)

    @property
    def test_note(self) -> str | None:
        """What the p values are; None where there are none."""
        if not self.tested:
            return None
        return (
            f"p: two-sided paired t-test of final accuracy against {self.baseline} over common seeds, Holm-corrected "
            f"({counted(self.tested, 'test')}); unreliable with few seeds"
        )

    @property
    def record_notes(self) -> list[str]:
        """A sentence on videos that could not be read, and one on records without a digest, if there were any."""
        example = self.example
        marks = mark_notes([record for row in self.rows for record in row.records])
        if not example.skipped_videos:
            return marks
        return [
            f"{counted(len(example.skipped_videos), 'video')} could not be read: the runs cover "
            f"{percent(example.coverage('train'))} % of the listed training videos and "
            f"{percent(example.coverage('test'))} % of the test videos.",
            *marks,
        ]


def compare(runs: Sequence[Run], *, budget_bytes: int | None) -> Comparison:
    """Return the comparison of methods; `budget_bytes` caps what a method keeps, MR modules aside.

    Raises:
        ComparisonError: there is no run; one has tasks left to learn; a method has a seed twice, or other settings
            from seed to seed; or two runs differ in protocol, encoder, video or features settings, data or skipped
            videos.
    """
    _check_comparable(runs)
    methods = {
        name: SeedRuns(tuple(sorted((record for _, record in own), key=lambda record: record.seed)))
        for name, own in grouped_by(runs, lambda run: run[0]).items()
    }
    baseline = BASELINE if BASELINE in methods else runs[0][0]
    tests = _tests(methods, baseline)
    # Equal ones in the order given, those without an accuracy last.
    order = sorted(methods, key=lambda name: methods[name].final, reverse=True)
    reference = {record.seed: record for record in methods[REFERENCE].records} if REFERENCE in methods else {}
    rows = [
        MethodRow(own.records, name, budget_bytes, order.index(name) + 1, tests.get(name), _transfer(own, reference))
        for name, own in methods.items()
    ]
    return Comparison(tuple(rows), baseline, budget_bytes)


def _tests(methods: dict[str, SeedRuns], baseline: str) -> dict[str, PairedTest]:
    """Return the test of every method that has a seed in common with the baseline."""
    accuracies = {
        name: {r.seed: value for r in own.records if (value := values_of(r)[FINAL]) is not None}
        for name, own in methods.items()
    }
    tests = {}
    for name, own in accuracies.items():
        seeds = tuple(sorted(own.keys() & accuracies[baseline].keys()))
        if seeds and name != baseline:
            pairs = [own[seed] for seed in seeds], [accuracies[baseline][seed] for seed in seeds]
            tests[name] = PairedTest(seeds, fmean(pairs[0]) - fmean(pairs[1]), paired_p(*pairs))
    corrected = holm([test.p for test in tests.values()])
    return {name: replace(test, p_holm=p) for (name, test), p in zip(tests.items(), corrected, strict=True)}


def _transfer(own: SeedRuns, reference: dict[int, Record]) -> Spread:
    """Return the forward transfer against the reference of the same seed; no value unless every seed has one."""
    return spread_of(
        forward_transfer(record.accuracy, reference[record.seed].accuracy) if record.seed in reference else None
        for record in own.records
    )


def paired_p(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Return the p of a two-sided paired t-test (Student, 1908), n - 1 degrees of freedom.

    None with fewer than two pairs, or if all differences are equal: there is no spread to judge them by.
    """
    differences = [a - b for a, b in zip(first, second, strict=True)]
    if len(differences) < 2 or max(differences) - min(differences) < _ALL_EQUAL:
        return None
    # Takes a second to import, and most commands that make reports never get here.
    from scipy.stats import ttest_rel

    return float(ttest_rel(first, second).pvalue)


def holm(values: Sequence[float | None]) -> list[float | None]:
    """Return p values corrected for how many there are: the step-down procedure of Holm (1979), at most 1.

    Among m values, the k-th smallest is multiplied by m - k + 1, and is at least what the smaller ones became. A None
    stays one and does not count.
    """
    # None becomes NaN, which is sorted last.
    corrected = np.array(values, float)
    count = len(values) - values.count(None)
    order = np.argsort(corrected, kind="stable")[:count]
    corrected[order] = np.minimum(np.maximum.accumulate(corrected[order] * np.arange(count, 0, -1)), 1.0)
    return [None if math.isnan(value) else value for value in corrected.tolist()]


def _check_comparable(runs: Sequence[Run]) -> None:
    """Refuse runs whose numbers do not answer the same question."""
    if not runs:
        raise ComparisonError("a comparison needs at least one run, 0 were given; give finished runs")
    for run in runs:
        learned, tasks = len(run[1].accuracy), len(run[1].protocol.tasks)
        if learned < tasks:
            raise ComparisonError(
                f"{_named(run)} has learned {learned} of {tasks} tasks, and only finished runs can be compared; "
                "train it to the end, or leave it out"
            )
    for (name, seed), times in Counter((name, record.seed) for name, record in runs).items():
        if times > 1:
            raise ComparisonError(f"method {name!r} is there twice with seed {seed}; give each seed of a method once")
    for other in runs[1:]:
        for what, values, advice in _conditions(runs[0][1], other[1]):
            _refuse(runs[0], other, what=what, values=values, advice=advice)
    _check_settings(runs)


def _check_settings(runs: Sequence[Run]) -> None:
    # Seeds are averaged only over runs that differ in nothing else.
    advice = "give runs of other settings as methods of other names, or train them again"
    for first, *others in grouped_by(runs, lambda run: run[0]).values():
        for other in others:
            for what, values in differences(_settings(first[1]), _settings(other[1])):
                _refuse(first, other, what=what, values=values, advice=advice)


def _settings(record: Record) -> dict[str, Any]:
    rest = {key: value for key, value in record.config.items() if key not in ("seed", "method")}
    return {**rest, "method": {"name": record.method.name, **record.method.config}}


def _conditions(first: Record, other: Record) -> Iterator[tuple[str, tuple[str, str], str]]:
    """Give everything that must agree between any two runs and does not: what, both values, and what to do."""
    both = first, other
    if first.protocol.id != other.protocol.id:
        ours, theirs = (f"{record.protocol.name} ({record.protocol.id})" for record in both)
        yield "protocol", (ours, theirs), "compare runs of one protocol at a time"
    if first.encoder.fingerprint != other.encoder.fingerprint:
        ours, theirs = (f"{record.encoder.name} ({record.encoder.fingerprint[:12]})" for record in both)
        yield "encoder", (ours, theirs), "train both with the same encoder and weights"
    for what, values in differences({"data": first.data}, {"data": other.data}):
        yield what, values, "train both on the same data"
    sections = [{key: record.config.get(key, {}) for key in ("video", "features")} for record in both]
    for what, values in differences(*sections):
        yield what, values, "train both with the same setting"
    skipped = [{f"{video.video} ({video.split})" for video in record.skipped_videos} for record in both]
    if skipped[0] != skipped[1]:
        values = _some(skipped[0], skipped[1]), _some(skipped[1], skipped[0])
        yield "skipped videos", values, "repair the videos, or take them out of the data, and train both again"


def _some(skipped: set[str], elsewhere: set[str]) -> str:
    names = sorted(skipped - elsewhere)
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return f"{len(skipped)} in all, {', '.join(names[:_NAMES_SHOWN]) or 'none'}{more} in this run alone"


def _refuse(first: Run, other: Run, *, what: str, values: tuple[str, str], advice: str) -> None:
    raise ComparisonError(
        f"{_named(first)} and {_named(other)} cannot be compared: they differ in {what}\n"
        f"  {_named(first)}: {values[0]}\n  {_named(other)}: {values[1]}\n{advice[0].upper()}{advice[1:]}"
    )


def _named(run: Run) -> str:
    return f"{run[0]} (seed {run[1].seed})"
