"""Which runs answer the same question, so that their numbers may stand side by side."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from essential.errors import ComparisonError
from essential.nested import differences
from essential.records import Record

Run = tuple[str, Record]
"""A method's name, as the user wrote it, and a record."""
_NAMES_SHOWN = 3


def refuse_incomparable(groups: Sequence[Sequence[Run]]) -> None:
    """Refuse runs whose numbers do not answer the same question; those of a group may differ in the seed alone.

    Raises:
        ComparisonError: see `compare`.
    """
    runs = [*chain.from_iterable(groups)]
    if not runs:
        raise ComparisonError("a comparison needs at least one run, 0 were given; give finished runs")
    for run in runs:
        learned, tasks = len(run[1].accuracy), len(run[1].protocol.tasks)
        if learned < tasks:
            raise ComparisonError(
                f"{_named(run)} has learned {learned} of {tasks} tasks, and only finished runs can be compared; "
                "train it to the end, or leave it out"
            )
    for group in groups:
        seed, times = Counter(record.seed for _, record in group).most_common(1)[0]
        if times > 1:
            name = group[0][0]
            raise ComparisonError(f"method {name!r} is there twice with seed {seed}; give each seed of a method once")
    for other in runs[1:]:
        for what, values, advice in _conditions(runs[0][1], other[1]):
            _refuse(runs[0], other, what=what, values=values, advice=advice)
    for group in groups:
        _refuse_other_settings(*group)


def _refuse_other_settings(first: Run, *others: Run) -> None:
    # Seeds are averaged only over runs that differ in nothing else.
    advice = "give runs of other settings as methods of other names, or train them again"
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
