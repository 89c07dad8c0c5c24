"""Spans in the XML of CVAT, "CVAT for video 1.1" and "CVAT for images 1.1" of one task.

A track is one span for each time that it is not `outside`; a tag on frames that follow each other is one span. Frames
are the video's own, counted from 0. Source: CVAT's documentation, "XML annotation format", version 1.1.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from xml.etree.ElementTree import Element

from essential.errors import DataError
from essential.protocols.text_files import Line
from essential.spans.labelled_span import FrameRange, Mark, Marks, frames_of, label_of
from essential.spans.xml_files import whole

_MAJOR = "1"
_STEP = re.compile(r"step=([1-9][0-9]{0,8})")
_FRAME_NAME = re.compile(r"frame_([0-9]{1,15})(?:\.\w+)?")


def marks_of_cvat(root: Element, name: str) -> Marks:
    """Return the spans of an export; DataError for another version, a whole project's, or a frame that is no number."""
    version = (root.findtext("version") or "").strip()
    if version.partition(".")[0] != _MAJOR:
        raise DataError(
            f"it is of version {version or 'none'!r} of CVAT's format", where=name, remedy="known is 1.1; export as 1.1"
        )
    if root.find("meta/project") is not None:
        raise DataError("it is the export of a whole project", where=name, remedy="export each task of it")
    video = root.findtext("meta/task/source") or root.findtext("meta/job/source") or root.findtext("meta/task/name")
    if not video:
        raise DataError("it names no video in meta/task/source", where=name, remedy="export the task again")
    found = _STEP.search(root.findtext("meta/task/frame_filter") or "")
    step = int(found[1]) if found else 1
    marks = [mark for track in root.iter("track") for mark in _track(track, name, video.strip(), step=step)]
    marks += _tags(root, name, video.strip(), step=step)
    shapes = sum(child.tag != "tag" for image in root.iter("image") for child in image)
    return Marks(marks, +Counter({"shapes on single frames": shapes}))


def _track(track: Element, name: str, video: str, *, step: int) -> Iterator[Mark]:
    line = Line(name, f"track {track.get('id')}")
    label = label_of(line, track.get("label"))
    shapes = [(whole(line, "frame", shape.get("frame")), shape.get("outside") == "1") for shape in track]
    first, last = None, 0
    for frame, is_outside in sorted(shapes):
        if is_outside and first is not None:
            yield Mark(line, video, frames_of(line, first, frame), label)
            first = None
        elif not is_outside:
            first = frame if first is None else first
        last = frame
    if first is not None:
        yield Mark(line, video, FrameRange(first, last + step), label)


def _tags(root: Element, name: str, video: str, *, step: int) -> Iterator[Mark]:
    tagged: dict[str, set[int]] = defaultdict(set)
    for image in root.iter("image"):
        line = Line(name, f"image {image.get('id')}")
        # A video's frame has its number in its name; its id is its place among those that were taken.
        named = _FRAME_NAME.fullmatch(image.get("name") or "")
        for tag in image.iter("tag"):
            tagged[tag.get("label") or ""].add(int(named[1]) if named else whole(line, "id", image.get("id")))
    for tag in root.findall("tag"):
        tagged[tag.get("label") or ""].add(whole(Line(name, "tag"), "frame", tag.get("frame")))
    for given, frames in tagged.items():
        for first, after in _runs(frames, step):
            line = Line(name, f"tag at frame {first}")
            yield Mark(line, video, FrameRange(first, after), label_of(line, given))


def _runs(frames: Iterable[int], step: int) -> Iterator[tuple[int, int]]:
    first = after = None
    for frame in sorted(frames):
        if first is None or after is None or frame > after:
            if first is not None and after is not None:
                yield first, after
            first = frame
        after = frame + step
    if first is not None and after is not None:
        yield first, after
