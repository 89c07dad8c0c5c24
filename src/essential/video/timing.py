"""When the pictures of a video file are shown, and which of them a segment holds."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from essential.errors import VideoError
from essential.protocols.protocol import Segment

# Of the shortest picture: more than rounding moves a time by (1/3 s is no float, Matroska keeps milliseconds), and too
# little to reach from one picture's time to another's.
_TOLERANCE = 0.1

# Presentation time and duration in the stream's time base; None where the file does not say it.
Stamp = tuple[int | None, int | None]


@dataclass(frozen=True, slots=True)
class Timing:
    """What a file says of when its pictures are shown.

    Attributes:
        stamps: one for each picture shown, in any order.
        time_base: seconds per unit of the stamps.
        rate: pictures per second on average; None if the file does not say it.
    """

    stamps: Sequence[Stamp]
    time_base: Fraction | None
    rate: Fraction | None


@dataclass(frozen=True, slots=True)
class _Timeline:
    """When each picture is first shown, in order, and when the last is over, in seconds since the first."""

    starts: Sequence[float]
    end_seconds: float
    shortest_seconds: float


def pictures_in(timing: Timing, segment: Segment | None) -> range:
    """Return the places, in order of showing, of the pictures that a segment holds; of all where there is none.

    A picture's time is its presentation time less that of the first picture shown. Where a picture has none, the time
    of each is its place divided by the average rate. A picture is shown from its time to the next one's. The segment
    holds the pictures shown at any moment from its start, included, to its end, excluded, and always the one at its
    start; an end past the video's is cut to it.

    It is empty if the segment is outside the video, which `refuse_outside` explains.
    """
    return range(len(timing.stamps)) if segment is None else _held(_timeline(timing), segment)


def pictures_in_each(timing: Timing, segments: Iterable[Segment]) -> list[range]:
    """Return what `pictures_in` does for each of many segments; the times are put in order once."""
    line = _timeline(timing)
    return [_held(line, segment) for segment in segments]


def _held(line: _Timeline, segment: Segment) -> range:
    tolerance = _TOLERANCE * line.shortest_seconds
    # Written so that NaN is outside.
    if not 0 <= segment.start_seconds <= segment.end_seconds or segment.start_seconds >= line.end_seconds - tolerance:
        return range(0)
    first = bisect_right(line.starts, segment.start_seconds + tolerance) - 1
    return range(first, max(first + 1, bisect_left(line.starts, segment.end_seconds - tolerance)))


def video_seconds(timing: Timing) -> float:
    """Return when the last picture is over, in seconds from the first; 0 where the file does not say it."""
    return _timeline(timing).end_seconds


def picture_starts(timing: Timing) -> Sequence[float]:
    """Return when each picture is first shown, in order, in seconds from the first; nothing where no file says it."""
    return _timeline(timing).starts


def refuse_outside(path: Path, timing: Timing, segment: Segment | None) -> None:
    """Raise if a segment is none, or starts where the video is over.

    Raises:
        VideoError: the message names the segment and the video's length.
    """
    if segment is None or pictures_in(timing, segment):
        return
    start, end = segment
    if not 0 <= start <= end:
        reason = f"it starts at {start} s and ends at {end} s; expected a start from 0 on, and an end not before it"
    elif not _has_times(timing) and not timing.rate:
        reason = "the file says neither when its pictures are shown nor how many a second; expected one of the two"
    else:
        length = _timeline(timing).end_seconds
        reason = f"it starts at {start} s, the video ends at {length:.3f} s; expected a start before that"
    raise VideoError(
        f"cannot read segment {start}-{end} s of video {path}: {reason}; correct the segment, replace the file, or "
        "leave the segment out"
    )


def _timeline(timing: Timing) -> _Timeline:
    times = sorted(time for time, _ in timing.stamps if time is not None)
    last_seconds = 0.0
    if _has_times(timing) and timing.time_base:
        starts = [float((time - times[0]) * timing.time_base) for time in times]
        last_seconds = max(float(duration or 0) for time, duration in timing.stamps if time == times[-1])
        last_seconds *= float(timing.time_base)
    elif timing.rate:
        starts = [float(place / timing.rate) for place in range(len(timing.stamps))]
    else:
        starts = []
    if not starts:
        return _Timeline([], 0.0, 0.0)
    shortest = min((after - before for before, after in pairwise(starts) if after > before), default=0.0)
    # Some files say that the last picture lasts no time at all.
    return _Timeline(starts, starts[-1] + max(last_seconds, shortest), shortest)


def _has_times(timing: Timing) -> bool:
    return bool(timing.time_base and timing.stamps) and all(time is not None for time, _ in timing.stamps)
