"""Values of foreign files in messages: as Python writes them, cut where they are long."""

import difflib
import reprlib
from collections.abc import Iterable, Sequence
from typing import Any

_REPR = reprlib.Repr()
_REPR.maxstring = 120
_NAMED_AT_MOST = 5


def quoted(value: Any) -> str:
    """Return `value` on one line of bounded length, however large or deep it is."""
    return _REPR.repr(value)


def named(values: Sequence[Any]) -> str:
    """Return the first few values, and dots if there are more."""
    return ", ".join(map(quoted, values[:_NAMED_AT_MOST])) + (", ..." if len(values) > _NAMED_AT_MOST else "")


def nearest(value: Any, allowed: Iterable[str]) -> str:
    """Return ` (did you mean 'x'?)` with the allowed word next to `value`, or nothing if none is near."""
    near = difflib.get_close_matches(str(value)[:100], list(allowed), n=1, cutoff=0.5)
    return f" (did you mean {near[0]!r}?)" if near else ""
