"""vCLIMB's untrimmed setting: whole videos in place of the segments that a list gives."""

from typing import NamedTuple

from essential.protocols.list_entries import Tasks, file_of
from essential.protocols.listed import ListedSplit


class WholeVideo(NamedTuple):
    """A video all of whose segments have one class."""

    file: str
    label: str


def whole_videos(tasks: Tasks, split: ListedSplit) -> list[WholeVideo]:
    """Return the videos of a split whose entries there all have one class, each once, in the order of the list.

    Of a video with segments the longest must take some time, as vCLIMB asks (CVPR 2022, released code: the longest
    action is more than `co_threshold` = 0 of the video).
    """
    labels: dict[str, str | None] = {}
    lasting: set[str] = set()
    for listed in (listed for classes in tasks for listed in classes):
        for entry in listed.of(split):
            file = file_of(entry)
            known = labels.setdefault(file, listed.name)
            if known != listed.name:
                labels[file] = None
            if isinstance(entry, str) or entry.end_seconds > entry.start_seconds:
                lasting.add(file)
    return [WholeVideo(file, label) for file, label in labels.items() if label is not None and file in lasting]
