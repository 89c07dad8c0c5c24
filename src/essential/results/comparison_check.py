"""Whether runs may stand in one table: all that decides the numbers must agree, but for the method and the seed."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from essential.errors import ComparisonError
from essential.records import Record
from essential.results.runs import differences, grouped_by

_NAMES_SHOWN = 3
Run = tuple[str, Record]


def check_comparable(runs: Sequence[Run]) -> None:
    """Refuse runs whose numbers do not answer the same question.

    Args:
        runs: the method's name, as the user wrote it, and the record.

    Raises:
        ComparisonError: there is no run; one has tasks left to learn; a method has a seed twice, or other settings
            from seed to seed; or two runs differ in protocol, encoder, video or features settings, data or skipped
            videos.
    """
    if not runs:
        raise ComparisonError("a comparison needs at least one run, 0 were given; give finished runs")
    _check_finished(runs)
    _check_seeds(runs)
    first = runs[0]
    for other in runs[1:]:
        for what, values, advice in _conditions(first[1], other[1]):
            _refuse(first, other, what=what, values=values, advice=advice)
    _check_settings(runs)


def _check_finished(runs: Sequence[Run]) -> None:
    for run in runs:
        learned, tasks = len(run[1].accuracy), len(run[1].protocol.tasks)
        if learned < tasks:
            raise ComparisonError(
                f"{_named(run)} has learned {learned} of {tasks} tasks, and only finished runs can be compared; "
                "train it to the end, or leave it out"
            )


def _check_seeds(runs: Sequence[Run]) -> None:
    for (name, seed), times in Counter((name, record.seed) for name, record in runs).items():
        if times > 1:
            raise ComparisonError(f"method {name!r} is there twice with seed {seed}; give each seed of a method once")


def _check_settings(runs: Sequence[Run]) -> None:
    """Seeds are averaged only over runs that differ in nothing else."""
    advice = "give runs of other settings as methods of other names, or train them again"
    for first, *others in grouped_by(runs, lambda run: run[0]).values():
        for run in others:
            for what, values in differences(_settings(first[1]), _settings(run[1])):
                _refuse(first, run, what=what, values=values, advice=advice)


def _settings(record: Record) -> dict[str, Any]:
    rest = {key: value for key, value in record.config.items() if key not in ("seed", "method")}
    return {**rest, "method": {"name": record.method.name, **record.method.config}}


def _conditions(first: Record, other: Record) -> Iterator[tuple[str, tuple[str, str], str]]:
    """Give everything that must agree between any two runs and does not: what, both values, and what to do."""
    if first.protocol.id != other.protocol.id:
        ids = [f"{record.protocol.name} ({record.protocol.id})" for record in (first, other)]
        yield "protocol", (ids[0], ids[1]), "compare runs of one protocol at a time"
    if first.encoder.fingerprint != other.encoder.fingerprint:
        prints = [f"{record.encoder.name} ({record.encoder.fingerprint[:12]})" for record in (first, other)]
        yield "encoder", (prints[0], prints[1]), "train both with the same encoder and weights"
    for what, values in differences({"data": first.data}, {"data": other.data}):
        yield what, values, "train both on the same data"
    for section in ("video", "features"):
        pair = ({section: first.config.get(section, {})}, {section: other.config.get(section, {})})
        for what, values in differences(*pair):
            yield what, values, "train both with the same setting"
    yield from _skipped(first, other)


def _skipped(first: Record, other: Record) -> Iterator[tuple[str, tuple[str, str], str]]:
    sets = [{(video.split, video.video) for video in record.skipped_videos} for record in (first, other)]
    if sets[0] != sets[1]:
        values = _some(sets[0], sets[0] - sets[1]), _some(sets[1], sets[1] - sets[0])
        yield "skipped videos", values, "repair the videos, or take them out of the data, and train both again"


def _some(skipped: set[tuple[str, str]], only_here: set[tuple[str, str]]) -> str:
    names = [f"{video} ({split})" for split, video in sorted(only_here)]
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return f"{len(skipped)} in all, {', '.join(names[:_NAMES_SHOWN]) or 'none'}{more} in this run alone"


def _refuse(first: Run, other: Run, *, what: str, values: tuple[str, str], advice: str) -> None:
    raise ComparisonError(
        f"{_named(first)} and {_named(other)} cannot be compared: they differ in {what}\n"
        f"  {_named(first)}: {values[0]}\n  {_named(other)}: {values[1]}\n{advice[0].upper()}{advice[1:]}"
    )


def _named(run: Run) -> str:
    return f"{run[0]} (seed {run[1].seed})"
