"""What an annotation list holds: a class of a task with its videos, each a name or a segment of one, checked."""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, get_args

from essential.errors import DataError
from essential.protocols.class_names import class_name
from essential.protocols.listed import ListedSplit
from essential.protocols.quoting import quoted

SPLITS: tuple[ListedSplit, ...] = get_args(ListedSplit)
_LONGEST_PART_BYTES = 255
_LONGEST_SECONDS = 1e9
# Control characters, halves of surrogate pairs, line and paragraph separators.
_UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})


class ListedSegment(NamedTuple):
    """A part of a video as a list gives it, with the video's length where the list says it."""

    file: str
    start_seconds: float
    end_seconds: float
    duration_seconds: float | None = None


Entry = str | ListedSegment


class ListSource(NamedTuple):
    """The file that a list was imported from: information, no part of the list's content."""

    file: str
    sha256: str


@dataclass(frozen=True, slots=True)
class ListedClass:
    """A class and its entries by split, in the list's order, repeated ones kept. A split it is not in is absent."""

    name: str
    entries: Mapping[ListedSplit, Sequence[Entry]] = field(default_factory=dict)

    def of(self, split: ListedSplit) -> Sequence[Entry]:
        """Return the entries of a split; none where the class is not in it."""
        return self.entries.get(split, ())


Tasks = Sequence[Sequence[ListedClass]]


def file_of(entry: Entry) -> str:
    """Return the name of the entry's video."""
    return entry if isinstance(entry, str) else entry.file


def splits_of(tasks: Tasks) -> list[ListedSplit]:
    """Return the splits that any class is in: train, val, test."""
    present = {split for classes in tasks for listed in classes for split in listed.entries}
    return [split for split in SPLITS if split in present]


def check_name(value: Any, where: str) -> str:
    """Return a class's or video's name if it is text of one line that stays below any folder it is joined to.

    Raises:
        DataError: names the value and what is wrong with it.
    """
    if not isinstance(value, str):
        raise DataError(f"{where}: {quoted(value)} is not text; give its name in quotes")
    problem = _problem(value)
    if problem:
        raise DataError(f"{where}: {quoted(value)} {problem}; give a name or a path below the videos' folder")
    return value


def check_names(values: Sequence[Any], where: str) -> Sequence[str]:
    """Return the names if `check_name` accepts each: thousands of them are looked at together.

    Raises:
        DataError: names the first one that is wrong.
    """
    return values if _are_fine(values) else [check_name(value, where) for value in values]


def check_classes(values: Sequence[Any], where: str) -> list[str]:
    """Return the names of a task's classes as they are kept, in their order.

    Raises:
        DataError: one is refused by `check_name` or `class_name`, or two are one name.
    """
    names = [class_name(name, where) for name in check_names(values, where)]
    twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if twice is not None:
        raise DataError(f"{where}: {quoted(twice)} is there twice, written in two ways; make them one class")
    return names


def _are_fine(values: Sequence[Any]) -> bool:
    """Say whether all names are right for sure. Joined by '/', they have no other parts than each has alone."""
    if not values:
        return True
    try:
        together = f"/{'/'.join(values)}/"
    except TypeError:
        return False
    if not together.isprintable() or any(bad in together for bad in ("//", "/./", "/../", "\\")):
        return False
    return max(map(len, values)) * (1 if together.isascii() else 4) <= _LONGEST_PART_BYTES


def check_entries(entries: Sequence[Any], where: str) -> Sequence[Entry]:
    """Return the entries, checked: names as by `check_names`, and the times of segments.

    A start behind the video's end is let through, as are segments of no length: the published lists have them.

    Raises:
        DataError: names the first one that is wrong; of a segment, that a time is negative, not finite or too large, or
            the end is before the start.
    """
    check_names([entry.file if isinstance(entry, ListedSegment) else entry for entry in entries], where)
    for entry in entries:
        if isinstance(entry, ListedSegment):
            _check_times(entry, where)
    return entries


def _check_times(segment: ListedSegment, where: str) -> None:
    file, start, end, duration = segment
    # Written so that NaN fails.
    if 0 <= start <= end <= _LONGEST_SECONDS and (duration is None or 0 <= duration <= _LONGEST_SECONDS):
        return
    for name, value in zip(segment._fields[1:], segment[1:], strict=True):
        if value is not None and not 0 <= value <= _LONGEST_SECONDS:
            raise DataError(f"{where}: {name} of {quoted(file)} is {quoted(value)}; use seconds from 0 to 1e9")
    raise DataError(
        f"{where}: the segment of {quoted(file)} ends at {end} s, before its start at {start} s; correct the list"
    )


def _problem(name: str) -> str | None:
    if not name:
        return "is empty"
    if any(unicodedata.category(character) in _UNPRINTABLE for character in name):
        return "holds a control character, a line break or half a character"
    if "\\" in name:
        return "holds a backslash (folders are separated by '/')"
    return _path_problem(name)


def _path_problem(name: str) -> str | None:
    parts = name.split("/")
    if name.startswith("/"):
        return "is an absolute path"
    if ".." in parts:
        return "leaves the folder with '..'"
    if "" in parts or "." in parts:
        return "has an empty part or a '.' in its path"
    if max(len(part.encode()) for part in parts) > _LONGEST_PART_BYTES:
        return f"has a part of more than {_LONGEST_PART_BYTES} bytes, which no file can have"
    return None
