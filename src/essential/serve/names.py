"""Names of classes, as clients give them."""

import unicodedata
from collections.abc import Collection

from essential.serve.refusal import Refusal

_LONGEST = 100
# Control characters, halves of characters, line and paragraph separators.
_NOT_ALLOWED = frozenset({"Cc", "Cs", "Zl", "Zp"})
# They turn the direction of the text behind them, on the page and in every table.
_TURNING = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def class_name(given: str) -> str:
    """Return the name of a class, without spaces around it.

    Raises:
        Refusal: it is empty, too long, or of more than one line.
    """
    name = unicodedata.normalize("NFC", given).strip()
    if not name or len(name) > _LONGEST:
        raise Refusal(
            422, "bad_class_name", f"the class has a name of {len(name)} characters; give one of 1 to {_LONGEST}"
        )
    odd = next((char for char in name if unicodedata.category(char) in _NOT_ALLOWED or char in _TURNING), None)
    if odd is not None:
        raise Refusal(
            422, "bad_class_name", f"the class's name holds the character U+{ord(odd):04X}; give one line of plain text"
        )
    return name


def refuse_known(name: str, known: Collection[str]) -> None:
    """Refuse to teach a class again by mistake.

    Raises:
        Refusal: says how to do so on purpose.
    """
    if name in known:
        raise Refusal(
            409,
            "class_known",
            f"the class {name!r} is known already; send more_of_known=true to teach it further clips, or forget it "
            "first",
        )
