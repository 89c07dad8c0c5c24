"""Spans in Label Studio's JSON: its exports (JSON and JSON-MIN), and predictions that it imports.

Two kinds of regions are spans. `TimelineLabels`: `{ranges: [{start, end}], timelinelabels: [label]}`, in frames,
counted from 1, the last one included. `Labels` on the audio of a video: `{start, end, labels: [label]}`, in seconds.
Frames are counted at the `frameRate` of the project's `<Video>` tag, which no export holds; without it, it is 24.

Source: Label Studio's documentation of TimelineLabels, Video, "Export annotations" and "Import pre-annotations".
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from essential.protocols.text_files import Line
from essential.shown import quoted
from essential.spans.labelled_span import (
    FrameRange,
    LabelledSpan,
    Mark,
    Marks,
    frames_of,
    label_of,
    score_of,
    seconds_of,
)
from essential.spans.places import is_video_name

# Those of the labelling configuration in `docs/spans.md`.
_FROM_NAME, _TO_NAME = "timelineLabels", "video"
_KNOWN = (
    "known are regions {ranges: [{start, end}], timelinelabels: [label]} in frames, and {start, end, labels: [label]} "
    "in seconds"
)
_RATE_HINT = (
    "Label Studio counts frames at the frameRate of the project's <Video> tag (24 if it says none); they are taken at "
    "the rate of the video's own frames. If these differ, give --frame-rate"
)
_UNLABELLED, _CANCELLED = "regions without a label", "skipped annotations"

Region = tuple[Line, Mapping[str, Any], object]


def is_label_studio(content: Any) -> bool:
    """Return whether JSON is a list of tasks, or one task."""
    tasks = content if isinstance(content, list) else [content]
    return bool(tasks) and all(isinstance(task, dict) and ("data" in task or "id" in task) for task in tasks)


def marks_of_label_studio(content: Any, name: str) -> Marks:
    """Return what an export holds: annotations, or predictions where it has no annotation at all.

    Raises:
        DataError: a task has no video, or several; a region has two labels, or is of an unknown layout.
    """
    tasks: list[dict[str, Any]] = content if isinstance(content, list) else [content]
    kinds = [kind for kind in ("annotations", "predictions") if any(task.get(kind) for task in tasks)]
    passed_over: Counter[str] = Counter()
    marks: list[Mark] = []
    for number, task in enumerate(tasks, 1):
        line = Line(name, f"task {task.get('id', number)}")
        video = _video(task, line)
        entries = _entries(task, kinds[0], line) if "data" in task and kinds else None
        for where, region, score in _flat_regions(task, line) if entries is None else _regions(entries, line):
            found = _marks(where, region, video, score)
            marks += found
            if not found:
                passed_over[_kind_of(region)] += 1
        passed_over[_CANCELLED] += sum(map(_is_cancelled, entries or ()))
    in_frames = any(isinstance(mark.time, FrameRange) for mark in marks)
    return Marks(marks, +passed_over, _RATE_HINT if in_frames else "")


def predictions(of_videos: Mapping[str, Sequence[tuple[FrameRange, LabelledSpan]]]) -> list[dict[str, Any]]:
    """Return tasks with predictions, one for each video by its name."""
    return [
        {
            "data": {_TO_NAME: video},
            "predictions": [{"model_version": "essential", "result": [*map(_region, spans)]}],
        }
        for video, spans in of_videos.items()
    ]


def _region(given: tuple[FrameRange, LabelledSpan]) -> dict[str, Any]:
    frames, span = given
    return {
        "id": f"{frames.first}-{frames.after}",
        "from_name": _FROM_NAME,
        "to_name": _TO_NAME,
        "type": "timelinelabels",
        "value": {"ranges": [{"start": frames.first + 1, "end": frames.after}], "timelinelabels": [span.label]},
        "score": span.score,
    }


def _video(task: Mapping[str, Any], line: Line) -> str:
    data = task.get("data", task)
    values = data.values() if isinstance(data, dict) else ()
    named = {value for value in values if isinstance(value, str) and is_video_name(value)}
    if len(named) != 1:
        what = f"names {len(named)} videos" if named else "names no video"
        raise line.error(f"its data {what}", "give tasks of one video each, such as {data: {video: 'match.mp4'}}")
    return named.pop()


def _is_cancelled(annotation: Any) -> bool:
    return isinstance(annotation, dict) and bool(annotation.get("was_cancelled"))


def _entries(task: Mapping[str, Any], kind: str, line: Line) -> Sequence[Any]:
    """Return the annotations, or predictions, of a task of the full export."""
    entries = task.get(kind) or []
    if not isinstance(entries, list):
        raise line.error(f"{kind} is {quoted(entries)}, and no list", _KNOWN)
    for one in entries:
        if not (_is_cancelled(one) or (isinstance(one, dict) and isinstance(one.get("result"), list))):
            raise line.error(f"an entry of {kind} has no list called result", _KNOWN)
    return entries


def _regions(entries: Sequence[Any], line: Line) -> Iterator[Region]:
    for one in entries:
        for place, region in enumerate(() if _is_cancelled(one) else one["result"], 1):
            where = line._replace(place=f"{line.place}, region {place}")
            value = region.get("value") if isinstance(region, dict) else None
            if not isinstance(value, dict):
                raise where.error("it has no object called value", _KNOWN)
            yield where, {"type": region.get("type"), **value}, region.get("score")


def _flat_regions(task: Mapping[str, Any], line: Line) -> Iterator[Region]:
    """Yield the regions of a task of JSON-MIN: values under the names of the project's own tags."""
    for key, values in task.items():
        regions: Iterable[Any] = (
            values if isinstance(values, list) and key not in ("annotations", "predictions") else ()
        )
        for place, value in enumerate(regions, 1):
            if isinstance(value, dict):
                yield line._replace(place=f"{line.place}, {key} {place}"), value, None


def _marks(line: Line, region: Mapping[str, Any], video: str, score: object) -> list[Mark]:
    """Return the spans of a region; nothing if it is of another kind, or has no label."""
    labels, ranges = region.get("timelinelabels", region.get("labels")), region.get("ranges")
    if not labels or ("ranges" not in region and not {"start", "end"} <= region.keys()):
        return []
    if not isinstance(labels, list) or len(labels) != 1:
        raise line.error(f"it has the labels {labels!r}", "give each span one label")
    if ranges is None:
        times: list[Any] = [seconds_of(line, region["start"], region["end"])]
    elif isinstance(ranges, list) and all(isinstance(one, dict) and {"start", "end"} <= one.keys() for one in ranges):
        times = [frames_of(line, _before(one["start"]), one["end"]) for one in ranges]
    else:
        raise line.error(f"ranges is {ranges!r}", _KNOWN)
    label = label_of(line, labels[0])
    return [Mark(line, video, time, label, score_of(line, score)) for time in times]


def _before(frame: object) -> object:
    return frame - 1 if isinstance(frame, int) else frame


def _kind_of(region: Mapping[str, Any]) -> str:
    if "ranges" in region or {"start", "end"} <= region.keys():
        return _UNLABELLED
    return f"regions of the kind {region['type']}" if region.get("type") else "values that are no spans"
