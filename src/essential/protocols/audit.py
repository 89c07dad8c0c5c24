"""What a reader of results on an annotation list should know: leaks between splits, imbalance, odd entries."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

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

# Lists round: an end this little behind the video's end is none.
_TOLERANCE_SECONDS = 0.05
# UCF101's names: v_<class>_g<group>_c<clip>. The clips of a group are cut from one video, or show one person and place.
_GROUP = re.compile(r"_g(\d+)_c\d+(?:\.[^./]*)?$")


class Extremes(NamedTuple):
    """The smallest and the largest of some counts, each with its owner."""

    smallest: int
    smallest_of: str
    largest: int
    largest_of: str


class GroupLeak(NamedTuple):
    """How much of a split shares a group (class and group number) with training."""

    split: ListedSplit
    videos: int  # entries of the split whose name has a group number
    leaked_videos: int  # those of a group that is in training too
    groups: int  # of the split
    leaked_groups: int  # those that are in training too


class SplitAudit(NamedTuple):
    """One split."""

    repeats: int  # entries that a class has had before
    most_repeated: int  # how often the same entry is in a class at most
    empty: int  # segments whose end is their start
    started_past_end: int  # segments that start at or behind the end of their video
    ended_past_end: int  # segments that end more than 0.05 s behind the end of their video
    files_of_several_classes: int
    files_of_overlapping_classes: int  # files in which segments of different classes overlap in time


@dataclass(frozen=True)
class ListAudit:
    """What a reader of results on an annotation list must know."""

    splits: Mapping[ListedSplit, SplitAudit]
    classes_per_task: Extremes | None
    training_per_task: Extremes | None
    training_per_class: Extremes | None
    repeated_classes: Mapping[str, tuple[int, ...]]  # classes in several tasks, with the numbers of those, from 1
    shared_files: Mapping[tuple[ListedSplit, ListedSplit], tuple[str, ...]]  # in both, by name; none: no pair
    group_leaks: tuple[GroupLeak, ...]  # for each tested split whose names have group numbers


def audit_list(tasks: Tasks) -> ListAudit:
    """Audit a list, also one that no run could use."""
    splits = splits_of(tasks)
    numbered = [(f"task {number}", classes) for number, classes in enumerate(tasks, 1)]
    per_class = dict.fromkeys((listed.name for classes in tasks for listed in classes), 0)
    for label, _ in labelled(tasks, "train"):
        per_class[label] += 1
    return ListAudit(
        splits={split: audit_split(tasks, split) for split in splits},
        classes_per_task=extremes([(task, len(classes)) for task, classes in numbered]),
        training_per_task=extremes([(task, sum(len(c.of("train")) for c in classes)) for task, classes in numbered]),
        training_per_class=extremes([*per_class.items()]),
        repeated_classes=repeated_classes(tasks),
        shared_files=shared_files(tasks),
        group_leaks=tuple(leak for split in splits if split != "train" if (leak := group_leak(tasks, split))),
    )


def extremes(counts: Sequence[tuple[str, int]]) -> Extremes | None:
    """Return the smallest and the largest count, the first of equal ones; None if there is none."""
    if not counts:
        return None
    smallest = min(counts, key=lambda item: item[1])
    largest = max(counts, key=lambda item: item[1])
    return Extremes(smallest[1], smallest[0], largest[1], largest[0])


def audit_split(tasks: Tasks, split: ListedSplit) -> SplitAudit:
    """Audit one split alone."""
    entries = list(labelled(tasks, split))
    repeated = Counter(entries)
    segments = [entry for _, entry in entries if isinstance(entry, ListedSegment)]
    classes_per_file = Counter(file for file, _ in {(file_of(entry), label) for label, entry in entries})
    timed = [(segment, segment.duration_seconds) for segment in segments]
    return SplitAudit(
        repeats=len(entries) - len(repeated),
        most_repeated=max(repeated.values(), default=0),
        empty=sum(segment.end_seconds == segment.start_seconds for segment in segments),
        started_past_end=sum(length is not None and segment.start_seconds >= length for segment, length in timed),
        ended_past_end=sum(
            length is not None and segment.end_seconds > length + _TOLERANCE_SECONDS for segment, length in timed
        ),
        files_of_several_classes=sum(count > 1 for count in classes_per_file.values()),
        files_of_overlapping_classes=_overlapping_files(entries),
    )


def shared_files(tasks: Tasks) -> dict[tuple[ListedSplit, ListedSplit], tuple[str, ...]]:
    """Return, for every two splits that share files, which."""
    files = {split: {file_of(entry) for _, entry in labelled(tasks, split)} for split in splits_of(tasks)}
    shared = {pair: tuple(sorted(files[pair[0]] & files[pair[1]])) for pair in combinations(files, 2)}
    return {pair: both for pair, both in shared.items() if both}


def group_leak(tasks: Tasks, split: ListedSplit) -> GroupLeak | None:
    """Return how much of `split` shares a group with training; None where no name has a group number."""
    trained, tested = set(_groups(tasks, "train")), Counter(_groups(tasks, split))
    leaked = {group: count for group, count in tested.items() if group in trained}
    return GroupLeak(split, tested.total(), sum(leaked.values()), len(tested), len(leaked)) if tested else None


def _groups(tasks: Tasks, split: ListedSplit) -> Iterator[tuple[str, int]]:
    for label, entry in labelled(tasks, split):
        match = _GROUP.search(file_of(entry))
        if match:
            yield label, int(match[1])


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
