"""Methods side by side, at one memory budget or at several: what their finished runs, several seeds each, amount to."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import fmean

import numpy as np

from essential.metrics import forward_transfer
from essential.records import Record
from essential.results.comparable import Run, refuse_incomparable
from essential.results.formats import budget_shown, counted, percent, probability
from essential.results.measures import FINAL, FORWARD_TRANSFER, REFERENCE, in_order, values_of
from essential.results.runs import SeedRuns, Spread, grouped_by, mark_notes, spread_of

BASELINE = "essential"
_FEW_SEEDS = 5
Key = tuple[str, int | None]
"""A method's name and the budget of its runs."""
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

    @property
    def doubtful(self) -> bool:
        """Whether there are too few seeds to rely on its p."""
        return self.p is not None and len(self.seeds) < _FEW_SEEDS

    @property
    def shown(self) -> str:
        """The corrected p with three digits, in brackets where it is doubtful."""
        return f"({probability(self.p_holm)})" if self.doubtful else probability(self.p_holm)


@dataclass(frozen=True)
class Call:
    """What was asked for: budgets from the least, changed settings, the command, and what was left out.

    `left_out` says of each method and budget that is left out why.
    """

    budgets: tuple[int, ...] = ()
    overrides: tuple[str, ...] = ()
    command: str = ""
    left_out: tuple[str, ...] = ()

    @property
    def several(self) -> bool:
        """Whether methods were run at more than one budget."""
        return len(self.budgets) > 1


@dataclass(frozen=True, eq=False)
class MethodRow(SeedRuns):
    """One method's runs at one budget, by seed; tested unless it is the baseline.

    `budget_bytes` is None for a method that takes none; `limit` is then the largest of all. `forward_transfer` is one
    of its measures, without a value where `REFERENCE` has no run of a seed.
    """

    method: str
    name: str
    budget_bytes: int | None
    limit: int | None
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
        """Whether no seed kept more than the budget after any task; None where there is no budget."""
        if self.limit is None:
            return None
        return not self.needs_all_tasks and max(memory.budgeted for memory in self.memories) <= self.limit

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
class Group:
    """Rows of a table that stand together, the best final accuracy first; only ranked ones have places in it.

    `title` is empty where no other group is ranked.
    """

    title: str
    rows: tuple[MethodRow, ...]
    is_ranked: bool = True


@dataclass(frozen=True, eq=False)
class Comparison:
    """Methods in the order the user gave, what their runs share, and the method that all others are tested against."""

    rows: tuple[MethodRow, ...]
    baseline: str
    call: Call = field(default_factory=Call)

    @cached_property
    def groups(self) -> list[Group]:
        """Those that are ranked, at each budget and without one; then the rows that are over it; then the bounds."""
        # Equal ones in the order given, those without an accuracy last.
        rows = sorted(self.rows, key=lambda row: row.final, reverse=True)
        places: list[int | None] = [*self.call.budgets, None] if self.call.several else [None]
        ranked = [
            Group(
                "" if not self.call.several else f"At {budget_shown(place)}" if place else "Without a budget",
                tuple(r for r in rows if r.keeps_to_the_rules and (r.budget_bytes == place or not self.call.several)),
            )
            for place in places
        ]
        over = [row for row in rows if row.within_budget is False and not row.needs_all_tasks]
        bounds = [row for row in rows if row.needs_all_tasks]
        apart = [Group("Over the budget", tuple(over), False), Group("Given all videos", tuple(bounds), False)]
        return [group for group in (*ranked, *apart) if group.rows]

    @property
    def ordered(self) -> list[MethodRow]:
        """The rows as tables have them, group after group."""
        return [row for group in self.groups for row in group.rows]

    @cached_property
    def places(self) -> dict[MethodRow, int]:
        """The place of each ranked row in its group, from 1."""
        ranked = [group.rows for group in self.groups if group.is_ranked]
        return {row: place for rows in ranked for place, row in enumerate(rows, start=1)}

    @cached_property
    def front(self) -> list[MethodRow]:
        """The Pareto front of mean final accuracy and carried bytes, from the least bytes.

        A row is on it unless another has as much of the one and as little of the other, and more or less of one of
        them. Bounds, and rows that are over the budget, are neither on it nor stand before others.
        """
        known = [row for row in self.rows if row.keeps_to_the_rules and row.final >= 0]
        points = {row: (row.carried_bytes or 0, -row.final) for row in known}
        front: list[MethodRow] = []
        for row in sorted(known, key=points.__getitem__):
            if not front or row.final > front[-1].final or points[row] == points[front[-1]]:
                front.append(row)
        return front

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
        at_once = " at each budget" if self.call.several else ""
        note = (
            f"p: two-sided paired t-test of final accuracy against {self.baseline} over common seeds, Holm-corrected"
            f"{at_once} ({counted(self.tested, 'test')})"
        )
        least = [len(row.test.seeds) for row in self.rows if row.test and row.test.doubtful]
        if not least:
            return note
        bound = f"{2 / 2 ** min(least):g} with {min(least)}"
        return (
            f"{note}; in brackets with fewer than {_FEW_SEEDS} seeds, where it rests on a normal spread that so few "
            f"cannot show: a test of signs, which needs none, gives 2/2^n at least ({bound})"
        )

    @property
    def modules_note(self) -> str | None:
        """Which methods keep to their budget and yet carry more with their MR modules; None if there is none."""
        beyond = [row.method for row in self.rows if row.within_budget and (row.carried_bytes or 0) > (row.limit or 0)]
        names = ", ".join(dict.fromkeys(beyond))
        return f"Carried beyond the budget, which does not cap MR modules: {names}." if beyond else None

    @property
    def call_notes(self) -> list[str]:
        """Sentences on the settings that were changed, on each method and budget that was left out, and on modules."""
        changed = [f"Settings changed: {', '.join(self.call.overrides)}."] if self.call.overrides else []
        left_out = [f"Left out: {reason}." for reason in self.call.left_out]
        return [*changed, *left_out, *filter(None, [self.modules_note])]

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


def compare(runs: Sequence[Run], call: Call | None = None) -> Comparison:
    """Return the comparison of methods, each at the budgets of the call that its runs have; it caps all but MR modules.

    Raises:
        ComparisonError: there is no run; one has tasks left to learn; a method has a seed twice at one budget, or other
            settings from seed to seed; or two runs differ in protocol, encoder, video or features settings, data or
            skipped videos.
    """
    call = call or Call()
    together = grouped_by(runs, lambda run: _key(run, call))
    refuse_incomparable([*together.values()])
    methods = {
        key: SeedRuns(tuple(sorted((record for _, record in own), key=lambda record: record.seed)))
        for key, own in together.items()
    }
    names = [name for name, _ in methods]
    baseline = BASELINE if BASELINE in names else names[0]
    tests = _tests(methods, baseline, call)
    reference = {r.seed: r for (name, _), own in methods.items() if name == REFERENCE for r in own.records}
    rows = [
        MethodRow(
            own.records,
            name,
            f"{name}, {budget_shown(budget)}" if budget and call.several else name,
            budget,
            budget or max(call.budgets, default=None),
            tests.get((name, budget)),
            _transfer(own, reference),
        )
        for (name, budget), own in methods.items()
    ]
    return Comparison(tuple(rows), baseline, call)


def _key(run: Run, call: Call) -> Key:
    budget = run[1].method.budget_bytes
    return run[0], budget if budget in call.budgets else None


def _tests(methods: dict[Key, SeedRuns], baseline: str, call: Call) -> dict[Key, PairedTest]:
    """Return the test of everything that has a seed in common with the baseline at its budget, or with the only one."""
    accuracies = {
        key: {r.seed: value for r in own.records if (value := values_of(r)[FINAL]) is not None}
        for key, own in methods.items()
    }
    known = {key: own for key, own in accuracies.items() if key[0] == baseline}
    tests: dict[Key, PairedTest] = {}
    for key, own in accuracies.items():
        # One without a budget stands against all; at a single budget, all against the only one.
        only = {} if call.several else next(iter(known.values()))
        against = known.get((baseline, key[1])) or known.get((baseline, None)) or only
        seeds = tuple(sorted(own.keys() & against.keys()))
        if seeds and key not in known:
            pairs = [own[seed] for seed in seeds], [against[seed] for seed in seeds]
            tests[key] = PairedTest(seeds, fmean(pairs[0]) - fmean(pairs[1]), paired_p(*pairs))
    corrected: dict[Key, PairedTest] = {}
    for together in grouped_by(tests, lambda key: key[1] if call.several else None).values():
        for key, p in zip(together, holm([tests[key].p for key in together]), strict=True):
            corrected[key] = replace(tests[key], p_holm=p)
    return corrected


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
