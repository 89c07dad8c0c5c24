"""What an annotation list holds, checked: videos by the names that it gives them, before anybody looks for files."""

import math
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import Any, Literal, NamedTuple, get_args

from essential.errors import DataError
from essential.protocols.class_names import class_name
from essential.protocols.protocol import Segment, Video
from essential.remote.access import scheme_of
from essential.shown import named, nearest, quoted

ListedSplit = Literal["train", "val", "test"]
SPLITS: tuple[ListedSplit, ...] = get_args(ListedSplit)
_LONGEST_PART_BYTES = 255
_LONGEST_PATH = 4095
_LONGEST_SECONDS = 1e9
_LONGEST_NUMBER = 100
# Control characters, halves of surrogate pairs, line and paragraph separators.
_UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})


class ListedVideo(NamedTuple):
    """One entry of a list: `name` as it is written there, with or without folder and extension."""

    name: str
    label: str
    split: ListedSplit
    segment: Segment | None = None


class ListedSegment(NamedTuple):
    """A part of a video as a list gives it, with the video's length where the list says it."""

    file: str
    start_seconds: float
    end_seconds: float
    duration_seconds: float | None = None


Entry = str | ListedSegment


class SegmentForm(NamedTuple):
    """How a list writes a segment: its keys for the fields of `ListedSegment`, and the types of its times."""

    keys: tuple[str, str, str, str]
    ignored: tuple[str, ...]
    types: tuple[type, ...]


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


def labelled(tasks: Tasks, split: ListedSplit) -> Iterator[tuple[str, Entry]]:
    """Give each entry of a split after the name of its class."""
    return chain.from_iterable(zip(repeat(one.name), one.of(split)) for one in chain.from_iterable(tasks))


def check_name(value: Any, where: str) -> str:
    """Return a class's or video's name; raise a DataError unless it is one line of text that stays below any folder."""
    if not isinstance(value, str):
        raise DataError(f"{quoted(value)} is not text", where=where, remedy="give its name in quotes")
    parts = value.split("/")
    longest = max(len(part.encode(errors="surrogatepass")) for part in parts)
    unprintable = any(unicodedata.category(character) in _UNPRINTABLE for character in value)
    problems = {
        "is empty": not value,
        "holds a control character, a line break or half a character": unprintable,
        "holds a backslash (folders are separated by '/')": "\\" in value,
        "is an address": scheme_of(value) is not None,
        "is an absolute path": value.startswith("/"),
        "leaves the folder with '..'": ".." in parts,
        "has an empty part or a '.' in its path": "" in parts or "." in parts,
        f"has a part of more than {_LONGEST_PART_BYTES} bytes, which no file can have": longest > _LONGEST_PART_BYTES,
        f"has more than {_LONGEST_PATH} characters, which no file can have": len(value) > _LONGEST_PATH,
    }
    for problem in (problem for problem, there in problems.items() if there):
        remedy = "give a name or a path below the videos' folder, which data.root or data.url says"
        raise DataError(f"{quoted(value)} {problem}", where=where, remedy=remedy)
    return value


def check_names(values: Sequence[Any], where: str) -> Sequence[str]:
    """Return the names if `check_name` accepts each: thousands of them are looked at together."""
    # Joined by '/', right names have no other parts than each has alone. Long ones are not joined, and looked at once:
    # one and the same may stand in a pickle a million times.
    if {*map(type, values)} == {str} and (longest := max(map(len, values))) <= _LONGEST_PART_BYTES:
        together = f"/{'/'.join(values)}/"
        most_bytes = longest * (1 if together.isascii() else 4)
        odd = any(part in together for part in ("//", "/./", "/../", "\\"))
        if together.isprintable() and not odd and most_bytes <= _LONGEST_PART_BYTES:
            return values
    for value in {id(value): value for value in values}.values():
        check_name(value, where)
    return values


def check_keys(
    held: Iterable[str], where: str, *, required: Sequence[str] = (), optional: Sequence[str] = (), what: str = "key"
) -> None:
    """Raise a DataError for an object with a key that it may not have, or without one that it must have."""
    allowed = (*required, *optional)
    keys = f"the {what}s are {', '.join(allowed)}"
    for key in held:
        if key not in allowed:
            raise DataError(f"unknown {what} {quoted(key)}{nearest(key, allowed)}", where=where, remedy=keys)
    for key in required:
        if key not in held:
            raise DataError(f"{where} lacks the {what} {key!r}", remedy=keys)


def classes_of(task: Any, where: str) -> Iterator[tuple[str, Any]]:
    """Give each class of a task in a list's file, its name as it is kept, and what the file holds of it."""
    if not isinstance(task, dict):
        raise DataError(f"{where} is {quoted(task)}", remedy="give the classes, each with its videos, by name")
    yield from zip(check_classes(list(task), where), task.values(), strict=True)


def check_classes(values: Sequence[Any], where: str) -> list[str]:
    """Return the names of a task's classes as they are kept; see `classes_of`."""
    where = f"{where}, name of a class"
    names = [class_name(name, where) for name in check_names(values, where)]
    for twice in (name for name, count in Counter(names).items() if count > 1):
        problem = f"{quoted(twice)} is there twice, written in two ways"
        raise DataError(problem, where=where, remedy="make them one class")
    return names


def entries_of(given: Any, form: SegmentForm, where: str) -> Sequence[Entry]:
    """Return the videos and segments of a class in a list's file, checked; see `check_entries`."""
    if not isinstance(given, list | tuple):
        raise DataError(f"{where} is {quoted(given)}", remedy="give a list of videos")
    return check_entries([_segment(one, form, where) if isinstance(one, dict) else one for one in given], where)


def _segment(given: Mapping[str, Any], form: SegmentForm, where: str) -> ListedSegment:
    if not {*form.keys[:3]} <= given.keys() <= {*form.keys, *form.ignored}:
        optional = (form.keys[3], *form.ignored)
        check_keys(given, f"{where}, {quoted(given)}", required=form.keys[:3], optional=optional)
    file, *times = form.keys
    return ListedSegment(given[file], *(_seconds(given, key, form, where) for key in times if key in given))


def _seconds(given: Mapping[str, Any], key: str, form: SegmentForm, where: str) -> float:
    value = given[key]
    # A long text takes long to read, and one and the same may stand in a pickle a million times.
    is_time = type(value) in form.types and (type(value) is not str or len(value) <= _LONGEST_NUMBER)
    try:
        number = float(value) if is_time else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if math.isfinite(number):
        return number
    problem = f"{key} of {quoted(given[form.keys[0]])} is {quoted(value)}"
    raise DataError(problem, where=where, remedy="give a number of seconds")


def check_entries(entries: Sequence[Any], where: str) -> Sequence[Entry]:
    """Return the entries; raise a DataError for the first with a wrong name or time.

    A start behind the video's end is let through, as are segments of no length: the published lists have them.
    """
    check_names([entry.file if isinstance(entry, ListedSegment) else entry for entry in entries], where)
    for segment in (entry for entry in entries if isinstance(entry, ListedSegment)):
        file, start, end, duration = segment
        # Written so that NaN fails.
        if 0 <= start <= end <= _LONGEST_SECONDS and (duration is None or 0 <= duration <= _LONGEST_SECONDS):
            continue
        for name, value in zip(segment._fields[1:], segment[1:], strict=True):
            if value is not None and not 0 <= value <= _LONGEST_SECONDS:
                raise DataError(f"{where}: {name} of {quoted(file)} is {quoted(value)}; use seconds from 0 to 1e9")
        problem = f"the segment of {quoted(file)} ends at {end} s, before its start at {start} s"
        raise DataError(problem, where=where, remedy="correct the list")
    return entries


def refuse_untrained(
    videos: Sequence[Video | ListedVideo],
    where: str,
    *,
    classes: Iterable[str] = (),
    remedy: str = "add training clips, or take the class out of the test split",
) -> None:
    """Raise a DataError that names the classes, of the videos or of `classes`, without a training clip."""
    trained = {video.label for video in videos if video.split == "train"}
    bare = sorted({*classes, *(video.label for video in videos if video.split != "train")} - trained)
    if bare:
        what = f"the class {quoted(bare[0])}" if len(bare) == 1 else f"{len(bare)} classes: {named(bare)}"
        raise DataError(f"no training clip for {what}", where=where, remedy=remedy)


def refuse_unusable(tasks: Tasks, where: str) -> None:
    """Refuse a list that no run could use as it is.

    Raises:
        DataError: no task; nothing to test on; a task without classes; a class that is in two tasks, has no training
            video, or has other splits than the others.
    """
    if not tasks:
        raise DataError(f"{where} has no task; give at least one, with its classes")
    for number, classes in enumerate(tasks, 1):
        if not classes:
            raise DataError(f"{where}: task {number} has no class; give it one, or take the task out")
    for name, numbers in (repeated := repeated_classes(tasks)).items():
        raise DataError(
            f"{where}: the class {quoted(name)} is in the tasks {', '.join(map(str, numbers))}"
            + (f", and so are {len(repeated) - 1} other classes in two tasks" if len(repeated) > 1 else "")
            + "; a class arrives once: keep it in one task"
        )
    if not any(split != "train" for split in splits_of(tasks)):
        raise DataError(f"{where} has no val and no test videos; give each class a val or a test split")
    _refuse_uneven_splits(tasks, where)
    bare = [one.name for classes in tasks for one in classes if not one.of("train")]
    refuse_untrained([], where, classes=bare, remedy="add some, or take the class out")


def repeated_classes(tasks: Tasks) -> dict[str, tuple[int, ...]]:
    """Return the classes that are in more than one task, with the numbers of their tasks, which count from 1."""
    numbers: dict[str, list[int]] = {}
    for number, classes in enumerate(tasks, 1):
        for listed in classes:
            numbers.setdefault(listed.name, []).append(number)
    return {name: tuple(found) for name, found in numbers.items() if len(found) > 1}


def _refuse_uneven_splits(tasks: Tasks, where: str) -> None:
    """Refuse a split that some classes are in and others are not: a list's splits have the same classes."""
    everyone = [(number, listed) for number, classes in enumerate(tasks, 1) for listed in classes]
    for split in SPLITS:
        inside = [listed for _, listed in everyone if split in listed.entries]
        outside = [(number, listed) for number, listed in everyone if split not in listed.entries]
        if inside and outside:
            number, listed = outside[0]
            has = " and ".join(one for one in SPLITS if one in listed.entries) or "no split"
            raise DataError(
                f"{where}: the class {quoted(listed.name)} of task {number} has no {split} split ({has} "
                f"only), but {quoted(inside[0].name)} has one, and {len(outside)} of {len(everyone)} classes lack it; "
                "give all classes the same splits, if need be an empty one"
            )
