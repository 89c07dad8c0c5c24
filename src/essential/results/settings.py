"""The settings of runs side by side: those that all share, once, those that differ, and those of a method alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from essential.nested import as_json, flattened, keys_apart
from essential.records import Record
from essential.results.comparison import MethodRow
from essential.results.formats import NONE
from essential.results.runs import SeedRuns, grouped_by

_NOT_SETTINGS = ("name", "needs_all_tasks", "budget_bytes")
"""Of a method's settings: a table shows them elsewhere."""
_FINGERPRINT = 12


@dataclass(frozen=True)
class MethodSettings:
    """A method's budgets, and by their keys the settings in which it differs from others, and those of it alone."""

    method: str
    budgets: tuple[int, ...]
    apart: Mapping[str, str]
    own: Mapping[str, str]


@dataclass(frozen=True)
class ComparedSettings:
    """What all runs share, by section and key; and of each method the rest. What is not set is left out."""

    shared: Mapping[str, Mapping[str, str]]
    methods: tuple[MethodSettings, ...]


def compared_settings(rows: Sequence[MethodRow]) -> ComparedSettings:
    """Return the settings of compared methods, each of which has the same at all of its seeds, but for the budget."""
    methods = grouped_by(rows, lambda row: row.method)
    of_runs = {name: dict(_of_run(same[0].example)) for name, same in methods.items()}
    apart = keys_apart([*of_runs.values()])
    first = next(iter(of_runs.values()))
    shared = {key: _shown(value) for key, value in first.items() if key not in apart and value not in (None, {})}
    sections = grouped_by(shared.items(), lambda each: each[0].partition(".")[0])
    return ComparedSettings(
        {name: {key.removeprefix(f"{name}."): value for key, value in same} for name, same in sections.items()},
        tuple(
            MethodSettings(
                name,
                tuple(sorted({row.budget_bytes for row in same if row.budget_bytes is not None})),
                {key: _shown(of_runs[name].get(key)) for key in apart},
                dict(_of_method(same[0].example)),
            )
            for name, same in methods.items()
        ),
    )


def settings_apart(families: Sequence[SeedRuns]) -> list[tuple[str, list[str]]]:
    """Return every setting in which they differ, but for the seed, with the value of each; a dash: it has no such.

    What a method has that others have not says no more than the method, and is left out.
    """
    settings = [dict(_with_method(family.example)) for family in families]
    return [
        (key, [_shown(own[key]) if key in own else NONE for own in settings])
        for key in keys_apart(settings)
        if not _goes_with_method(key, settings)
    ]


def _goes_with_method(key: str, settings: Sequence[Mapping[str, Any]]) -> bool:
    values = {as_json(own[key]) for own in settings if key in own}
    having, lacking = ({own["method"] for own in settings if (key in own) is has} for has in (True, False))
    return len(values) == 1 and having.isdisjoint(lacking) and key.startswith("method.")


def _with_method(record: Record) -> Iterator[tuple[str, Any]]:
    yield "method", record.method.shown
    yield "encoder.fingerprint", record.encoder.fingerprint[:_FINGERPRINT]
    yield from flattened({key: value for key, value in record.method.config.items() if key != "name"}, "method")
    yield from _of_run(record)


def _of_run(record: Record) -> Iterator[tuple[str, Any]]:
    return flattened({key: value for key, value in record.config.items() if key not in ("seed", "method")})


def _of_method(record: Record) -> Iterator[tuple[str, str]]:
    for key, value in flattened(record.method.config):
        if key not in _NOT_SETTINGS and value not in (None, {}):
            yield key, _shown(value)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else as_json(value)
