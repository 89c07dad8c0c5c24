"""Keys of listed videos, of which no two are the same."""

from collections.abc import Sequence

from essential.protocols.listed import ListedVideo
from essential.protocols.protocol import Segment


def unique_keys(listed: Sequence[ListedVideo]) -> list[str]:
    """Return a key for each: its name, `@start-end` in seconds behind it for a segment, and `#2`, ... for repeats."""
    plain = [name if segment is None else f"{name}{_suffix(segment)}" for name, _, _, segment in listed]
    if len(set(plain)) == len(plain):
        return plain
    used: set[str] = set()
    repeats: dict[str, int] = {}
    keys = []
    for name in plain:
        key = name
        while key in used:
            repeats[name] = repeats.get(name, 1) + 1
            key = f"{name}#{repeats[name]}"
        used.add(key)
        keys.append(key)
    return keys


def _suffix(segment: Segment) -> str:
    start, end = (repr(float(seconds)).removesuffix(".0") for seconds in segment)
    return f"@{start}-{end}"
