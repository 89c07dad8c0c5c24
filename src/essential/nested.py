"""Nested settings as flat ones, by keys of the form section.key, and where two differ."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any


def as_json(value: Any) -> str:
    """Return a setting as JSON."""
    return json.dumps(value, ensure_ascii=False, default=str)


def flattened(content: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Give every value of nested mappings with its key."""
    if isinstance(content, Mapping) and content:
        for key, value in content.items():
            yield from flattened(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, content


def keys_apart(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the keys at which flat settings differ, one of which may lack a key."""
    keys = dict.fromkeys(key for each in settings for key in each)
    # A record that was read has lists where one just made has tuples: as JSON they are the same.
    texts = [{key: as_json(value) for key, value in each.items()} for each in settings]
    return [key for key in keys if len({each.get(key) for each in texts}) > 1]


def differences(
    first: Mapping[str, Any], other: Mapping[str, Any], *, show: Callable[[Any], str] = as_json, absent: str = "not set"
) -> Iterator[tuple[str, tuple[str, str]]]:
    """Give every key at which two nested mappings differ, and both values as `show` gives them."""
    sides = [dict(flattened(each)) for each in (first, other)]
    for key in keys_apart(sides):
        ours, theirs = (show(side[key]) if key in side else absent for side in sides)
        yield key, (ours, theirs)
