"""Text that strangers chose, such as names of files and classes, made harmless where it is shown."""

import json
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
