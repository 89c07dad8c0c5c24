"""Braces in the address of tar shards, as in shells: `train-{000..099}.tar`, `{train,test}.tar`, also nested."""

import re
from itertools import product

_RANGE = re.compile(r"([0-9]{1,9})\.\.([0-9]{1,9})")
_MOST = 100_000


def expanded(text: str) -> list[str]:
    """Return the texts that braces stand for, in order; text without braces is itself.

    Raises:
        ValueError: a brace is not closed, holds neither a rising range nor several parts, or gives a text twice.
    """
    try:
        found = _alternatives(text)
    except RecursionError:
        raise ValueError("braces nest too deep") from None
    if len(set(found)) < len(found):
        raise ValueError(f"{text} names a file twice; give each once")
    return found


def _alternatives(text: str) -> list[str]:
    start = text.find("{")
    if start < 0:
        if "}" in text:
            raise ValueError("a brace } has no beginning; write {000..099} or {a,b}")
        return [text]
    parts, rest = _to_the_closing_brace(text[start + 1 :])
    middles = _range(parts[0]) if len(parts) == 1 else [found for part in parts for found in _alternatives(part)]
    ends = _alternatives(rest)
    if len(middles) * len(ends) > _MOST:
        raise ValueError(f"its braces stand for more than {_MOST:,} files")
    return [f"{text[:start]}{middle}{end}" for middle, end in product(middles, ends)]


def _range(text: str) -> list[str]:
    match = _RANGE.fullmatch(text)
    if match is None:
        raise ValueError(f"{{{text}}} is no range and no list; write {{000..099}} or {{a,b}}")
    first, last = match.groups()
    if not 0 <= int(last) - int(first) < _MOST:
        raise ValueError(f"{{{text}}} does not rise, or is of more than {_MOST:,} files")
    # As many digits as are written: {000..099} has three in all, {0..10} has not.
    is_padded = any(end[0] == "0" and len(end) > 1 for end in (first, last))
    width = max(len(first), len(last)) if is_padded else 0
    return [f"{number:0{width}}" for number in range(int(first), int(last) + 1)]


def _to_the_closing_brace(text: str) -> tuple[list[str], str]:
    """Return the parts of a brace that is open, between the commas right in it, and the text behind it."""
    parts, depth = [""], 0
    for place, character in enumerate(text):
        if character == "}" and not depth:
            return parts, text[place + 1 :]
        depth += (character == "{") - (character == "}")
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    raise ValueError("a brace { is not closed; write {000..099} or {a,b}")
