"""What a reader of results on an annotation list should know: leaks between splits, imbalance, odd entries."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

from essential.protocols.listed import (
    Entry,
    ListedSegment,
    ListedSplit,
    Tasks,
    file_of,
    labelled,
    repeated_classes,
    splits_of,
)
from essential.shown import named, quoted

# Lists round: an end this little behind the video's end is none.
_TOLERANCE_SECONDS = 0.05
# UCF101's names: v_<class>_g<group>_c<clip>. The clips of a group are cut from one video, or show one person and place.
_GROUP = re.compile(r"_g(\d+)_c\d+(?:\.[^./]*)?$")


def findings(tasks: Tasks) -> Iterator[str]:
    """Give what an audit finds, a sentence each, the most important first, also of a list that no run could use."""
    tested = [split for split in splits_of(tasks) if split != "train"]
    leaks = [leak for split in tested if (leak := _group_leak(tasks, split))]
    yield from leaks or ["groups: no name has a group number (UCF101's _gNN_cNN), so leaks by group cannot be checked"]
    yield from _shared_files(tasks)
    repeated = repeated_classes(tasks)
    for name, numbers in repeated.items():
        yield f"classes: {quoted(name)} is in the tasks {', '.join(map(str, numbers))}; a class should arrive once"
    if not repeated:
        yield "classes: none is in two tasks"
    yield from _balances(tasks)
    yield from entry_findings(tasks)


def entry_findings(tasks: Tasks) -> Iterator[str]:
    """Give how many odd entries there are in each split, of each kind that there is."""
    for split in splits_of(tasks):
        yield from (f"{split}: {what}: {count}" for what, count in odd_entries(tasks, split).items() if count)


def odd_entries(tasks: Tasks, split: ListedSplit) -> dict[str, int]:
    """Return how many entries of a split are odd, or how many of its videos, by in what."""
    entries = list(labelled(tasks, split))
    repeated = Counter(entries)
    segments = [entry for _, entry in entries if isinstance(entry, ListedSegment)]
    classes_per_file = Counter(file for file, _ in {(file_of(entry), label) for label, entry in entries})
    timed = [(each, each.duration_seconds) for each in segments if each.duration_seconds is not None]
    most = max(repeated.values(), default=0)
    return {
        f"entries that repeat one of the same class (the same one up to {most} times)": len(entries) - len(repeated),
        "segments that end where they start, without a frame": sum(
            segment.end_seconds == segment.start_seconds for segment in segments
        ),
        "segments that start at or behind the end of their video, without a frame": sum(
            segment.start_seconds >= length for segment, length in timed
        ),
        "segments that end more than 0.05 s behind the end of their video": sum(
            segment.end_seconds > length + _TOLERANCE_SECONDS for segment, length in timed
        ),
        "videos with entries of several classes (data.untrimmed leaves them out)": sum(
            count > 1 for count in classes_per_file.values()
        ),
        "videos with segments of different classes that overlap in time": _overlapping_files(entries),
    }


def _group_leak(tasks: Tasks, split: ListedSplit) -> str | None:
    """Say how much of `split` shares a group, class and number, with training; None where no name has a number."""
    trained, tested = set(_groups(tasks, "train")), Counter(_groups(tasks, split))
    leaked = {group: count for group, count in tested.items() if group in trained}
    if not tested:
        return None
    return (
        f"group leakage: {sum(leaked.values())} of {tested.total()} {split} videos have a clip of their own group in "
        f"training ({len(leaked)} of {len(tested)} groups): accuracy on this split is optimistic"
    )


def _groups(tasks: Tasks, split: ListedSplit) -> Iterator[tuple[str, int]]:
    for label, entry in labelled(tasks, split):
        match = _GROUP.search(file_of(entry))
        if match:
            yield label, int(match[1])


def _shared_files(tasks: Tasks) -> Iterator[str]:
    files = {split: {file_of(entry) for _, entry in labelled(tasks, split)} for split in splits_of(tasks)}
    shared = {pair: sorted(files[pair[0]] & files[pair[1]]) for pair in combinations(files, 2)}
    for splits, both in shared.items():
        if both:
            yield f"splits: {len(both)} videos are in both {' and '.join(splits)}: {named(both)}"
    if not any(shared.values()):
        yield f"splits: no video is in two splits ({', '.join(files)})"


def _balances(tasks: Tasks) -> Iterator[str]:
    numbered = [(f"task {number}", classes) for number, classes in enumerate(tasks, 1)]
    per_class = dict.fromkeys((listed.name for classes in tasks for listed in classes), 0)
    for label, _ in labelled(tasks, "train"):
        per_class[label] += 1
    for what, counts in (
        ("classes per task", [(task, len(classes)) for task, classes in numbered]),
        ("training entries per task", [(task, sum(len(c.of("train")) for c in classes)) for task, classes in numbered]),
        ("training entries per class", [*per_class.items()]),
    ):
        if counts:
            yield f"{what}: {_balance(counts)}"


def _balance(counts: Sequence[tuple[str, int]]) -> str:
    """Say what the smallest and the largest count are, with the first that has it."""
    smallest_of, smallest = min(counts, key=lambda item: item[1])
    largest_of, largest = max(counts, key=lambda item: item[1])
    if smallest == largest:
        return f"{smallest} in each"
    ratio = f", {largest / smallest:.1f} times as many" if smallest else ""
    return f"from {smallest} ({smallest_of}) to {largest} ({largest_of}){ratio}"


def _overlapping_files(entries: Iterable[tuple[str, Entry]]) -> int:
    by_file: dict[str, list[tuple[float, float, str]]] = {}
    for label, entry in entries:
        if isinstance(entry, ListedSegment) and entry.end_seconds > entry.start_seconds:
            by_file.setdefault(entry.file, []).append((entry.start_seconds, entry.end_seconds, label))
    return sum(_overlap(spans) for spans in by_file.values())


def _overlap(spans: list[tuple[float, float, str]]) -> bool:
    """Say whether two spans of different classes overlap; each is (start, end, class)."""
    ends: dict[str, float] = {}
    for start, end, label in sorted(spans):
        if any(other_end > start for other, other_end in ends.items() if other != label):
            return True
        ends[label] = max(end, ends.get(label, end))
    return False
