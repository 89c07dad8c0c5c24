"""Annotation lists: which videos, or segments of videos, each class of each task has in each split.

`docs/file-formats.md` shows a list's file: JSON with one video a line, made to be read, compared and written by hand.
"""

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

from essential.errors import ConfigError, DataError
from essential.files.atomic import sha256_of_json, write_text
from essential.protocols.list_files import FORMAT, VERSION, parse_ours, parse_pickle, read_foreign
from essential.protocols.listed import (
    SPLITS,
    Entry,
    ListedSegment,
    ListedSplit,
    ListedVideo,
    ListSource,
    Tasks,
    check_name,
    file_of,
    labelled,
    refuse_untrained,
    refuse_unusable,
    splits_of,
)
from essential.protocols.places import locate_videos
from essential.protocols.protocol import Listing, Segment
from essential.protocols.source import DataConfig, Dataset, TestSplit
from essential.protocols.text_files import bytes_of, json_of, text_of
from essential.shown import named

_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False)


@dataclass(frozen=True)
class VideoList:
    """A list. `name` is what messages call it: its file. A class's label is its place, task after task."""

    name: str = field(compare=False)
    tasks: Tasks
    source: ListSource | None = field(default=None, compare=False)

    @cached_property
    def sha256(self) -> str:
        """A hash of the content: tasks, classes and entries in order, however they are laid out in a file."""
        return sha256_of_json([[[listed.name, dict(listed.entries)] for listed in classes] for classes in self.tasks])

    @cached_property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """The classes of each task, in order."""
        return tuple(tuple(listed.name for listed in classes) for classes in self.tasks)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """All classes, in order."""
        return tuple(chain.from_iterable(self.groups))

    def listed(self, *, test_split: TestSplit = "auto", untrimmed: bool = False) -> list[ListedVideo]:
        """Return the videos of train and, as `test`, those of the split that is tested on, in the list's order.

        Args:
            test_split: `auto` is test, or val where the list has no test split.
            untrimmed: give whole videos in place of segments, see `whole_videos`; each split is looked at alone.

        Raises:
            ConfigError: there is no such split, or there are no segments to replace.
            DataError: what is left has a class without training videos, or a task without test videos.
        """
        present = [split for split in splits_of(self.tasks) if split != "train"]
        tested = present[-1] if test_split == "auto" else test_split
        if tested not in present:
            raise ConfigError(
                f"data.test_split={tested}, but {self.name} has no such split; use {' or '.join(present)}, or auto"
            )
        entries = (entry for split in SPLITS for _, entry in labelled(self.tasks, split))
        if untrimmed and not any(isinstance(entry, ListedSegment) for entry in entries):
            raise ConfigError(
                f"data.untrimmed=true, but {self.name} has no segments, only whole videos; use data.untrimmed=false"
            )
        of_split = whole_videos if untrimmed else _as_listed
        train, test = of_split(self.tasks, "train", "train"), of_split(self.tasks, tested, "test")
        where = f"{self.name}, with data.test_split={tested}, data.untrimmed={str(untrimmed).lower()}"
        remedy = "choose other settings, or {} the list"
        refuse_untrained(train, where, classes=self.classes, remedy=remedy.format("take the class out of"))
        tested_classes = {video.label for video in test}
        for number, group in enumerate(self.groups, 1):
            if tested_classes.isdisjoint(group):
                problem = f"task {number} ({named(group)}) has nothing to be tested on"
                raise DataError(problem, where=where, remedy=remedy.format("add videos to"))
        return train + test


def _as_listed(tasks: Tasks, split: ListedSplit, as_split: ListedSplit) -> list[ListedVideo]:
    return [
        ListedVideo(entry, label, as_split)
        if isinstance(entry, str)
        else ListedVideo(entry.file, label, as_split, Segment(*entry[1:3]))
        for label, entry in labelled(tasks, split)
    ]


def whole_videos(tasks: Tasks, split: ListedSplit, as_split: ListedSplit) -> list[ListedVideo]:
    """Return the videos of a split whose entries there all have one class, each once, in order, as of `as_split`.

    Of a video with segments the longest must take some time, as vCLIMB asks (CVPR 2022, released code: the longest
    action is more than `co_threshold` = 0 of the video).
    """
    labels: dict[str, str | None] = {}
    lasting: set[str] = set()
    for label, entry in labelled(tasks, split):
        file = file_of(entry)
        if labels.setdefault(file, label) != label:
            labels[file] = None
        if isinstance(entry, str) or entry.end_seconds > entry.start_seconds:
            lasting.add(file)
    return [ListedVideo(file, only, as_split) for file, only in labels.items() if only and file in lasting]


def read_video_list(path: Path) -> VideoList:
    """Return the list in a file of ours.

    Raises:
        DataError: the file cannot be read, is no list of ours, or is one that no run could use.
    """
    content = _content(path)
    try:
        video_list = VideoList(str(path), *parse_ours(content, str(path)))
    except DataError:
        if read_foreign(content, str(path)) is None:
            raise
        raise DataError(f"{path} is a list of another project; make one of ours of it: essential data import") from None
    refuse_unusable(video_list.tasks, str(path))
    return video_list


def import_list(path: Path) -> VideoList:
    """Return what `open_list` does; raise a DataError also for a list that no run could use."""
    video_list = open_list(path)
    refuse_unusable(video_list.tasks, video_list.name)
    return video_list


def open_list(path: Path) -> VideoList:
    """Return the list in a file of ours, or in a published one, as it is; nothing of a pickle is run.

    Raises:
        DataError: the file cannot be read, is none of these, or has an entry that is no video or segment.
    """
    content = _content(path)
    tasks = read_foreign(content, str(path))
    # Our files are JSON objects; no pickle begins like one.
    if tasks is None and (path.suffix == ".json" or content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")):
        return VideoList(str(path), *parse_ours(content, str(path)))
    if tasks is None:
        tasks = parse_pickle(content, str(path))
    name = check_name(path.name, f"the list {path}: its file name")
    return VideoList(str(path), tasks, ListSource(name, hashlib.sha256(content).hexdigest()))


def write_video_list(video_list: VideoList, path: Path) -> None:
    """Write a list as a file of ours, whole or not at all; what is there is replaced."""
    top: dict[str, Any] = {"format": FORMAT, "version": VERSION}
    if video_list.source is not None:
        top["source"] = video_list.source._asdict()
    top["tasks"] = [
        {
            listed.name: {split: [_plain(entry) for entry in entries] for split, entries in listed.entries.items()}
            for listed in classes
        }
        for classes in video_list.tasks
    ]
    write_text(path, f"{_laid_out(top)}\n")


def refuse_other_file(path: Path) -> None:
    """Raise a DataError if `path` is there and is not a list of ours."""
    if path.is_dir():
        raise DataError(f"--out {path} is a folder; give the name of a file, such as {path / 'list.json'}")
    if not path.exists():
        return
    content = _content(path)
    with suppress(DataError):
        top = json_of(text_of(content, "", ""), "")
        if isinstance(top, dict) and top.get("format") == FORMAT:
            return
    raise DataError(f"--out {path} exists and is no video list of ours; give another name, or delete the file")


def _content(path: Path) -> bytes:
    return bytes_of(path, what="the list ", absent="give an existing file")


def _plain(entry: Entry) -> Any:
    if isinstance(entry, str):
        return entry
    return {key: value for key, value in entry._asdict().items() if value is not None}


def _laid_out(value: Any, margin: str = "\n") -> str:
    """Return JSON with what a list or a dictionary of such holds one a line; a segment stays on one line."""
    inner = f"{margin}  "
    if isinstance(value, list) and value:
        return f"[{inner}{f',{inner}'.join(_laid_out(item, inner) for item in value)}{margin}]"
    if isinstance(value, dict) and any(isinstance(held, list | dict) for held in value.values()):
        items = (f"{_laid_out(key)}: {_laid_out(held, inner)}" for key, held in value.items())
        return f"{{{inner}{f',{inner}'.join(items)}{margin}}}"
    return _JSON.encode(value)


def _listing(config: DataConfig) -> Listing:
    video_list = read_video_list(config.given("path"))
    listed = video_list.listed(test_split=config.test_split, untrimmed=config.untrimmed)
    listing = locate_videos(listed, config.place, video_list.classes)
    return replace(listing, groups=video_list.groups, sha256=video_list.sha256)


LIST = Dataset(
    "an annotation list",
    ("path", "root"),
    _listing,
    hint="the list: -s data.path=FILE.json (`essential data import` makes it)",
    takes_url=True,
)
