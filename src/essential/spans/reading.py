"""A file of spans, of whatever kind, to labelled spans: found, timed and checked before anything is decoded."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path

from essential.errors import ConfigError, DataError
from essential.protocols.protocol import Segment
from essential.protocols.text_files import bytes_of, json_of, text_of
from essential.spans.activity_net import is_activity_net, marks_of_activity_net
from essential.spans.checks import refuse_conflicts
from essential.spans.cvat import marks_of_cvat
from essential.spans.elan import marks_of_elan
from essential.spans.label_studio import is_label_studio, marks_of_label_studio
from essential.spans.labelled_span import FrameRange, LabelledSpan, Mark, Marks
from essential.spans.places import VideoPlaces
from essential.spans.subtitles import marks_of_subtitles
from essential.spans.tables import marks_of_csv, marks_of_json_lines
from essential.spans.xml_files import xml_root
from essential.video.container import survey_file
from essential.video.timing import Timing

# How far an end may lie past the video's, to which it is cut: tools know lengths by the container, or by the sound.
_PAST_SECONDS = 1.0
_NAMED = 3


def read_spans(
    file: Path | str,
    *,
    videos: Path | str | None = None,
    frame_rate: float | None = None,
    tell: Callable[[str], object] = lambda _: None,
) -> tuple[LabelledSpan, ...]:
    """Read labelled spans of videos, in the file's order.

    The kind is known by the name, and JSON by its content: CSV, JSON lines, exports of Label Studio, CVAT and ELAN,
    JSON as of ActivityNet, WebVTT and SubRip. Every video is opened, for its length and the times of its frames.

    Args:
        file: the file of spans.
        videos: where the videos are; None: beside the file. See `VideoPlaces`.
        frame_rate: frames a second, for an export that counts frames; None: as the video shows them.
        tell: is given what was passed over, what was found by its name alone, and what a rate is taken for.

    Raises:
        DataError: the file is no such file or holds no span; a span is none, lies past its video's end, is there twice,
            or has another's time under another label; a video is missing or outside of the folder.
        VideoError: a video cannot be read.
        ConfigError: `frame_rate` is not above 0, or the file counts no frames.
    """
    path = Path(file)
    found = _marks(path, str(path))
    if not found.marks:
        others = ", ".join(f"{number} {kind}" for kind, number in found.passed_over.items())
        raise DataError(f"it holds no labelled span{f', but {others}' if others else ''}", where=path)
    in_frames = any(isinstance(mark.time, FrameRange) for mark in found.marks)
    if frame_rate is not None and not (in_frames and 0 < frame_rate < math.inf):
        problem = "is not above 0" if in_frames else f"has no meaning: {path} gives seconds"
        raise ConfigError(f"the frame rate {frame_rate} {problem}", remedy="leave it out, or give such as 25")
    places = VideoPlaces(path, None if videos is None else Path(videos))
    paths = {mark.video: places.find(mark.video, mark.line) for mark in found.marks}
    timings = {each: _timing(each) for each in dict.fromkeys(paths.values())}
    spans = tuple(_timed(mark, paths[mark.video], timings, frame_rate) for mark in found.marks)
    refuse_conflicts(spans, [f"{path.name}, {mark.line.place}" for mark in found.marks])
    for note in _notes(found, places.by_name, frame_rate):
        tell(note)
    return spans


def _marks(path: Path, name: str) -> Marks:
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        known = ", ".join(_READERS)
        raise DataError(f"its name ends in {path.suffix!r}", where=name, remedy=f"known are {known}")
    content = bytes_of(path, what="spans ", absent="give an existing file of spans")
    if content[:2] == b"PK":
        raise DataError("it is a ZIP archive", where=name, remedy="unpack it, and give the file in it")
    text = text_of(content, name, "save it as UTF-8 text")
    if not text.strip():
        raise DataError("it is empty", where=name, remedy="give a file with a span or more")
    return reader(text, name)


def _of_json(text: str, name: str) -> Marks:
    content = json_of(text, name)
    if is_activity_net(content):
        return marks_of_activity_net(content, name)
    if is_label_studio(content):
        return marks_of_label_studio(content, name)
    keys = ", ".join(map(repr, [*content][:5])) if isinstance(content, dict) else ""
    what = f"an object with {keys or 'nothing'}" if isinstance(content, dict) else f"a {type(content).__name__}"
    raise DataError(
        f"its JSON is {what}, no export that is known",
        where=name,
        remedy="give an export of Label Studio (JSON or JSON-MIN), or the layout of ActivityNet (version 1.3)",
    )


# By how a file's name ends; each takes the text, and the file's path.
_READERS: Mapping[str, Callable[[str, str], Marks]] = {
    ".csv": marks_of_csv,
    ".json": _of_json,
    ".jsonl": marks_of_json_lines,
    ".xml": lambda text, name: marks_of_cvat(xml_root(text, name), name),
    ".eaf": lambda text, name: marks_of_elan(xml_root(text, name), name),
    ".vtt": marks_of_subtitles,
    ".srt": marks_of_subtitles,
}


def _timing(path: Path) -> Timing:
    timing = survey_file(path).timing
    if not timing.end_seconds:
        raise DataError("the video says neither when its frames are shown nor how many a second", where=path)
    return timing


def _timed(mark: Mark, path: Path, timings: Mapping[Path, Timing], rate: float | None) -> LabelledSpan:
    timing, time = timings[path], mark.time
    if isinstance(time, FrameRange):
        time = _seconds(mark, time, timing, rate)
    start, end = time
    length = timing.end_seconds
    if not timing.frames_in(time) or end > length + _PAST_SECONDS:
        raise mark.line.error(
            f"the span is from {start:.3f} to {end:.3f} s, and {path} ends at {length:.3f} s",
            "give a time in the video, or check which video it is",
        )
    return LabelledSpan(path, Segment(start, min(end, length)), mark.label, mark.score)


def _seconds(mark: Mark, frames: FrameRange, timing: Timing, rate: float | None) -> Segment:
    if rate is not None:
        return Segment(frames.first / rate, frames.after / rate)
    starts, count = timing.starts, len(timing.starts)
    last = min(frames.after, count)
    if frames.first >= last or (frames.after - last) / count * timing.end_seconds > _PAST_SECONDS:
        raise mark.line.error(
            f"the span ends with frame {frames.after}, and the video has {count} frames",
            "check which video it is; or give --frame-rate if frames were counted at another rate than its own",
        )
    return Segment(starts[frames.first], starts[last] if last < count else timing.end_seconds)


def _notes(found: Marks, by_name: Mapping[str, Path], rate: float | None) -> list[str]:
    notes = []
    if by_name:
        some = ", ".join(f"{name} -> {path}" for name, path in [*by_name.items()][:_NAMED])
        notes.append(f"videos found by their names: {some}{', ...' if len(by_name) > _NAMED else ''}")
    if found.rate_hint and rate is None:
        notes.append(found.rate_hint)
    if found.passed_over:
        several = ", ".join(f"{number} {kind}" for kind, number in sorted(found.passed_over.items()))
        notes.append(f"passed over: {several}")
    return notes
