"""Names of classes, one check for all who give them: folders, lists, tables, dictionaries, clients of the service."""

import re
import unicodedata
from collections.abc import Iterable

from essential.errors import DataError
from essential.shown import quoted

# `essential predict` answers this for a clip of no class.
NONE_OF_THESE = "none of these"
# Controls, halves of characters, line and paragraph separators, and formats: the last turn the direction of text, or
# cannot be seen. The joiners are letters' own: Persian and emoji are written with them.
_NOT_ALLOWED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_JOINERS = frozenset("\u200c\u200d")
_LEADING_ZEROS = re.compile(r"(?<![0-9])0+(?=[0-9])")


def class_name(given: object, where: str) -> str:
    """Return a class's name as it is kept, in Unicode's form NFC without spaces around it; else raise a DataError."""
    name = same_name(given) if isinstance(given, str) else ""
    if not name:
        raise DataError(f"{where}: {quoted(given)} is no name for a class; give it a name of one line")
    odd = next((one for one in name if unicodedata.category(one) in _NOT_ALLOWED and one not in _JOINERS), None)
    if odd is not None:
        raise DataError(
            f"{where}: {quoted(given)} is no name for a class: it holds the character U+{ord(odd):04X}; give it a name "
            "of one line of plain text"
        )
    if name.casefold() == NONE_OF_THESE:
        raise DataError(
            f"{where}: {quoted(given)} is no name for a class: it is what is answered for a clip of no class; give it "
            "another name"
        )
    return name


def same_name(given: str) -> str:
    """Return the one form of names that differ in nothing a reader sees."""
    return given.strip() if given.isascii() else unicodedata.normalize("NFC", given).strip()


def known_as(given: str, known: Iterable[str]) -> str:
    """Return the one of the known names that `given` is, else `given`: older bundles keep names in other forms."""
    return next((name for name in known if same_name(name) == same_name(given)), given)


def alike(names: Iterable[str]) -> list[str]:
    """Return a warning for every group of names that differ only in case or in zeros before a number."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(_LEADING_ZEROS.sub("", name.casefold()), []).append(name)
    return [
        f"warning: the classes {' and '.join(map(quoted, group))} differ only in case or zeros; they are kept apart"
        for group in groups.values()
        if len(group) > 1
    ]
