"""Published annotation lists: vCLIMB's and the authors' pickles, `{train, val, test} -> [task] -> {class: [video]}`.

A video is a name, or a dictionary with `filename`, `t_start`, `t_end` and mostly `video_duration` in seconds, as text
or numbers. A class's label is its place in the training split, task after task.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from essential.errors import DataError
from essential.protocols.foreign_lists import read_foreign
from essential.protocols.list_checks import refuse_unusable
from essential.protocols.list_entries import (
    SPLITS,
    Entry,
    ListedClass,
    ListedSegment,
    ListSource,
    Tasks,
    check_classes,
    check_entries,
    check_name,
)
from essential.protocols.list_file import read_list_file
from essential.protocols.list_json import parse_list
from essential.protocols.listed import ListedSplit
from essential.protocols.plain_pickle import read_plain_pickle
from essential.protocols.quoting import nearest, quoted
from essential.protocols.video_list import VideoList

_SEGMENT_KEYS = ("filename", "t_start", "t_end", "video_duration")
_UNUSED_KEYS = ("fps", "video_frames")


def import_list(path: Path) -> VideoList:
    """Return the list in a published pickle, read without running anything of it, in a file of ours, or of others.

    Entries are kept as they are, repeated ones too, and segments that start behind the end of their video.

    Raises:
        DataError: as `open_list`; or the list is one that no run could use.
    """
    video_list = open_list(path)
    refuse_unusable(video_list.tasks, video_list.name)
    return video_list


def open_list(path: Path) -> VideoList:
    """Return the list in a published pickle, in a file of ours, or of others, also one that no run could use.

    Raises:
        DataError: the file cannot be read, is none of these, or has an entry that is no video or segment.
    """
    content = read_list_file(path)
    foreign = read_foreign(content, str(path))
    if foreign is not None:
        return VideoList(str(path), foreign, _source(path, content))
    # Our files are JSON objects; no pickle begins like one.
    if path.suffix == ".json" or content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        tasks, source = parse_list(content, str(path))
        return VideoList(str(path), tasks, source)
    return VideoList(str(path), parse_pickle(content, str(path)), _source(path, content))


def _source(path: Path, content: bytes) -> ListSource:
    return ListSource(check_name(path.name, f"the list {path}: its file name"), hashlib.sha256(content).hexdigest())


def parse_pickle(content: bytes, name: str) -> Tasks:
    """Return the tasks of a published pickle, each entry checked but not yet one against the other.

    Args:
        content: the whole file.
        name: what messages call it.

    Raises:
        DataError: it is no plain pickle of the form above; an entry is no video or segment.
    """
    top = read_plain_pickle(content, name)
    splits = _splits(top, name)
    tasks: list[dict[str, dict[ListedSplit, Sequence[Entry]]]]
    tasks = [{} for _ in range(max(map(len, splits.values()), default=0))]
    room = len(content)
    for split, number, label, videos in _classes(splits, name):
        # One and the same list may stand in a pickle a million times; an honest entry takes bytes of its own.
        room -= len(videos) + 1
        if room < 0:
            raise DataError(f"{name} lists more videos than it has bytes: the same ones again and again; it is refused")
        where = f"{name}, {split}, task {number}, class {quoted(label)}"
        tasks[number - 1].setdefault(label, {})[split] = _entries(videos, where)
    return [[ListedClass(label, entries) for label, entries in task.items()] for task in tasks]


def _splits(top: Any, name: str) -> Mapping[ListedSplit, Sequence[Any]]:
    if not isinstance(top, dict):
        raise DataError(f"{name} holds a {type(top).__name__}, not a dictionary with the splits {', '.join(SPLITS)}")
    for key in top:
        if key not in SPLITS:
            raise DataError(
                f"{name} has an unknown split {quoted(key)}{nearest(key, SPLITS)}; the splits are {', '.join(SPLITS)}"
            )
        if not isinstance(top[key], list | tuple):
            raise DataError(f"{name}: {key} is {quoted(top[key])}; it must be a list with one dictionary per task")
    # Training first: it gives the classes their order.
    return {split: top[split] for split in SPLITS if split in top}


def _classes(
    splits: Mapping[ListedSplit, Sequence[Any]], name: str
) -> Iterator[tuple[ListedSplit, int, str, Sequence[Any]]]:
    """Give (split, number of the task from 1, class, its videos), training first."""
    for split, tasks in splits.items():
        for number, task in enumerate(tasks, 1):
            where = f"{name}, {split}, task {number}"
            if not isinstance(task, dict):
                raise DataError(f"{where} is {quoted(task)}; it must be a dictionary with the classes and their videos")
            names = check_classes(list(task), f"{where}, name of a class")
            for label, videos in zip(names, task.values(), strict=True):
                if not isinstance(videos, list | tuple):
                    raise DataError(f"{where}, class {quoted(label)} is {quoted(videos)}; it must be a list of videos")
                yield split, number, label, videos


def _entries(videos: Sequence[Any], where: str) -> Sequence[Entry]:
    return check_entries([_segment(video, where) if isinstance(video, dict) else video for video in videos], where)


def _segment(video: Mapping[str, Any], where: str) -> ListedSegment:
    allowed = (*_SEGMENT_KEYS, *_UNUSED_KEYS)
    for key in video:
        if key not in allowed:
            raise DataError(
                f"{where}, {quoted(video)}: unknown key {quoted(key)}{nearest(key, allowed)}; the keys are "
                f"{', '.join(allowed)}"
            )
    for key in _SEGMENT_KEYS[:3]:
        if key not in video:
            raise DataError(f"{where}, {quoted(video)} lacks the key {key!r}; the keys are {', '.join(allowed)}")
    duration = _seconds(video, "video_duration", where) if "video_duration" in video else None
    start, end = (_seconds(video, key, where) for key in ("t_start", "t_end"))
    return ListedSegment(video["filename"], start, end, duration)


def _seconds(video: Mapping[str, Any], key: str, where: str) -> float:
    value = video[key]
    try:
        seconds = float(value) if type(value) in (str, int, float) else math.nan
    except (ValueError, OverflowError):
        seconds = math.nan
    if not math.isfinite(seconds):
        raise DataError(
            f"{where}: {key} of {quoted(video['filename'])} is {quoted(value)}; it must be a number of seconds"
        )
    return seconds
