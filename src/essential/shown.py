"""Text that strangers chose, such as names of files and classes, made harmless where it is shown."""

import difflib
import json
import reprlib
from collections.abc import Iterable, Sequence
from typing import Any
from unicodedata import category

# Unicode's controls, direction marks, what is no character, and the separators of lines and paragraphs; but the joiners
# of letters belong to them.
_NOT_SHOWN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
_JOINERS = "\u200c\u200d"
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def printable(text: str) -> str:
    """Return a text of one line that a terminal shows as it is: what would steer it is replaced."""
    if text.isprintable():
        return text
    return "".join("\N{REPLACEMENT CHARACTER}" if _steers(one) else one for one in text)


def printable_lines(text: str) -> str:
    """Return a text whose lines are each `printable`."""
    return "\n".join(map(printable, text.split("\n")))


def printable_json(text: str) -> str:
    r"""Return JSON of one line, of the same meaning, in which `\u....` stands for what would steer a terminal."""
    return "".join(json.dumps(one)[1:-1] if _steers(one) else one for one in text)


def plain_cell(cell: Any) -> Any:
    """Return a cell of a CSV file, text so that a spreadsheet takes it for text and not for a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA_STARTS) else cell


def _steers(one: str) -> bool:
    return category(one) in _NOT_SHOWN and one not in _JOINERS


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
