"""Names of files, classes and values, made safe to print."""

import difflib
import json
import re
import reprlib
from collections.abc import Iterable, Sequence
from typing import Any
from unicodedata import category

# Controls, direction marks, unassigned characters, and separators of lines and paragraphs; but not joiners of letters.
_NOT_SHOWN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
_JOINERS = "\u200c\u200d"
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def printable(text: str) -> str:
    """Return a text of one line without characters that control a terminal; they are replaced."""
    if text.isprintable():
        return text
    return "".join("\N{REPLACEMENT CHARACTER}" if _is_control(one) else one for one in text)


def printable_lines(text: str) -> str:
    """Return a text whose lines are each `printable`."""
    return "\n".join(map(printable, text.split("\n")))


def encodable(text: str) -> str:
    """Return a text that JSON and files can hold: a file's name that is not UTF-8 loses its odd bytes."""
    return text.encode("utf-8", "replace").decode()


def printable_json(text: str) -> str:
    r"""Return JSON of one line and the same meaning, with `\u....` for characters that control a terminal."""
    return "".join(json.dumps(one)[1:-1] if _is_control(one) else one for one in text)


def plain_cell(cell: Any) -> Any:
    """Return a cell for a CSV file, with text that a spreadsheet does not take for a formula."""
    return f"'{cell}" if isinstance(cell, str) and _is_guarded(f"'{cell}") else cell


def unguarded_cell(cell: str) -> str:
    """Return a cell of a CSV file without what `plain_cell` puts before it, and without spaces around it."""
    cell = cell.strip()
    return cell[1:] if _is_guarded(cell) else cell


def _is_guarded(cell: str) -> bool:
    # Such a text that begins with the guard itself has one more.
    return cell.startswith("'") and cell.lstrip("'").startswith(_FORMULA_STARTS)


def _is_control(one: str) -> bool:
    return category(one) in _NOT_SHOWN and one not in _JOINERS


# A name and password in an address, and what follows its '?', such as a signature; with one slash of two forgotten too.
_CREDENTIALS = re.compile(r"(?<=:/)(/?)[^\s'\"]*@|(?<=:/)([^\s'\"?]*)\?[^\s'\")]*")


def without_credentials(text: str) -> str:
    """Return a text whose addresses have dots for what may be a credential in them."""
    return _CREDENTIALS.sub(lambda found: f"{found[1]}...@" if found[2] is None else f"{found[2]}?...", text)


class _Repr(reprlib.Repr):
    def repr_str(self, x: str, level: int) -> str:
        return super().repr_str(without_credentials(x), level)


_REPR = _Repr()
_REPR.maxstring = 120
_MESSAGE_AT_MOST = 300
_NAMED_AT_MOST = 5


def quoted(value: Any) -> str:
    """Return `value` on one line of bounded length."""
    return _REPR.repr(value)


def described(error: BaseException) -> str:
    """Return an error's kind and message on one line of bounded length, of an error without a readable message too."""
    try:
        message = " ".join(str(error).split())[:_MESSAGE_AT_MOST]
    except KeyboardInterrupt:
        raise
    except BaseException:
        message = "its message cannot be read"
    return printable(f"{type(error).__name__}: {message}" if message else type(error).__name__)


def named(values: Sequence[Any]) -> str:
    """Return the first few values, and dots if there are more."""
    return ", ".join(map(quoted, values[:_NAMED_AT_MOST])) + (", ..." if len(values) > _NAMED_AT_MOST else "")


def nearest(value: Any, allowed: Iterable[str]) -> str:
    """Return ` (did you mean 'x'?)` with the allowed word nearest to `value`, or nothing."""
    near = difflib.get_close_matches(str(value)[:100], list(allowed), n=1, cutoff=0.5)
    return f" (did you mean {near[0]!r}?)" if near else ""
