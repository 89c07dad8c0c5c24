"""A protocol as JSON values, so that a run keeps to the tasks and videos that it began with."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from essential.protocols.protocol import Protocol, Segment, Split, Task, Video

Entry = str | list[Any]


def protocol_to_json(protocol: Protocol, root: Path) -> dict[str, Any]:
    """Return the protocol, its videos' files relative to `root` where they are below it."""

    def entries(videos: Sequence[Video]) -> dict[str, Entry]:
        return {video.key: _entry(video, str(root)) for video in videos}

    tasks = [
        {"classes": list(task.classes), "train": entries(task.train), "test": entries(task.test)}
        for task in protocol.tasks
    ]
    return {
        "name": protocol.name,
        "id": protocol.id,
        "list_sha256": protocol.list_sha256,
        "passed_over": dict(protocol.passed_over),
        "tasks": tasks,
    }


def protocol_from_json(content: Mapping[str, Any], root: Path) -> Protocol:
    """Return what `protocol_to_json` was given, its videos below `root` whether they are there or not.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it is something else.
    """

    def videos(entries: Mapping[str, Entry], split: Split) -> tuple[Video, ...]:
        return tuple(_video(key, entry, str(root), split) for key, entry in entries.items())

    tasks = tuple(
        Task(index, tuple(task["classes"]), videos(task["train"], "train"), videos(task["test"], "test"))
        for index, task in enumerate(content["tasks"])
    )
    protocol = Protocol(content["name"], tasks, content.get("list_sha256"), content.get("passed_over", {}))
    if protocol.id != content["id"]:
        raise ValueError("its content does not match its id")
    return protocol


def _entry(video: Video, root: str) -> Entry:
    """Return a video's label; where the key does not say it all, with its file and segment."""
    file = video.file.removeprefix(f"{root}/")
    if file == video.key and video.segment is None:
        return video.label
    return [video.label, file, list(video.segment) if video.segment else None]


def _video(key: str, entry: Entry, root: str, split: Split) -> Video:
    label, file, segment = (entry, key, None) if isinstance(entry, str) else entry
    # An absolute path stays what it is.
    return Video(key, str(Path(root, file)), label, split, Segment(*segment) if segment else None)
