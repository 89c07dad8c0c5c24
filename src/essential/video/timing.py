"""When the frames of a video file are shown, which of them a segment holds, and how many a file lacks that was cut off.

A copy that was cut off keeps the length in its head. In this order, the first that there is:

- the video stream's tag DURATION (Matroska, WebM);
- the container's length, which is that of its longest stream (Matroska, WebM, FLV, ASF, fragmented MP4);
- the video stream's length, by its header or index (MP4, MOV, 3GP, AVI, MXF, IVF, RM), also that of a fragmented MP4
  (`sidx`, or the fragment that it ends in).

MPEG-TS, MPEG-PS, Ogg, GIF, NUT and bare streams say none: what FFmpeg gives for them, it has measured.
"""

import math
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from jaxtyping import Float64, Int64

from essential.errors import VideoError
from essential.protocols.protocol import Segment
from essential.video.frames import FEWEST_FRAMES

# Of the shortest frame: more than rounding moves a time by (1/3 s is no float, Matroska keeps milliseconds), and too
# little to reach from one frame's time to another's.
_TOLERANCE = 0.1
# The same for moments inside a segment: as much as half a millisecond, Matroska's rounding, is of a frame at 60 a
# second. The middles of a whole number of frames cut into 8 lie on a frame's time, or a 16th of a frame beside it.
_NEARNESS = 0.03
_MP4, _MATROSKA = "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"
_BY_STREAM = frozenset({_MP4, "avi", "mxf", "ivf", "rm"})
_HEAD_BYTES = 64 * 1024
# The properties of an ASF file (a GUID); their sizes and times follow it.
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_FLV_DURATION = b"\x00\x08duration\x00"

# Presentation time and duration in the stream's time base; None where the file does not say it.
Stamp = tuple[int | None, int | None]


@dataclass(frozen=True)
class Timing:
    """What a file says of when its frames are shown: a stamp for each, in any order, in units of `time_base` seconds.

    `rate` is in frames per second on average; None if the file does not say it.
    """

    stamps: Sequence[Stamp]
    time_base: Fraction | None
    rate: Fraction | None

    @cached_property
    def starts(self) -> Sequence[float]:
        """When each frame is first shown, in order, in seconds from the first; empty if the file does not say it.

        Where a frame has no time of its own, the time of each is its place divided by the average rate.
        """
        if self._has_times and self.time_base:
            times = sorted(time for time, _ in self.stamps if time is not None)
            # Of whole numbers: correctly rounded, as of fractions, in a tenth of the time.
            numerator, denominator = self.time_base.as_integer_ratio()
            return [(time - times[0]) * numerator / denominator for time in times]
        return [float(place / self.rate) for place in range(len(self.stamps))] if self.rate else []

    @cached_property
    def end_seconds(self) -> float:
        """When the last frame is over, in seconds from the first; 0 where the file does not say it."""
        if not self.starts:
            return 0.0
        last_units = 0
        if self._has_times:
            last_units = max((time or 0, duration or 0) for time, duration in self.stamps)[1]
        # Some files say that the last frame lasts no time at all.
        return self.starts[-1] + max(float(last_units) * float(self.time_base or 0), self._shortest_seconds)

    def frames_in(self, segment: Segment | None) -> range:
        """Return the places, in order of showing, of the frames that a segment holds; of all where there is none.

        A frame is shown from its time, counted from the first frame's, to the next one's. The segment holds the frames
        shown at any moment from its start, included, to its end, excluded, and always the one at its start; an end past
        the video's is cut to it. Empty if the segment is outside the video, which `refuse_outside` explains.
        """
        if segment is None:
            return range(len(self.stamps))
        start, end = segment
        tolerance = _TOLERANCE * self._shortest_seconds
        # Written so that NaN is outside.
        if not 0 <= start <= end or start >= self.end_seconds - tolerance:
            return range(0)
        first = bisect_right(self.starts, start + tolerance) - 1
        return range(first, max(first + 1, bisect_left(self.starts, end - tolerance)))

    def shown_at(self, seconds: Float64[np.ndarray, "segments moments"]) -> Int64[np.ndarray, "segments moments"]:
        """Return the places, in order of showing, of the frames that are shown at moments; after the end, the last."""
        moments = seconds + _NEARNESS * self._shortest_seconds
        places: Int64[np.ndarray, "segments moments"] = np.searchsorted(self.starts, moments, side="right") - 1
        return places

    def refuse_outside(self, path: Path, segment: Segment | None) -> None:
        """Raise a VideoError with the video's length if a segment starts where it is over, or is none."""
        if segment is None or self.frames_in(segment):
            return
        start, end = segment
        if not 0 <= start <= end:
            reason = f"it starts at {start} s and ends at {end} s; expected a start from 0 on, and an end not before it"
        elif not self._has_times and not self.rate:
            reason = "the file says neither when its frames are shown nor how many a second; expected one of the two"
        else:
            reason = f"it starts at {start} s, the video ends at {self.end_seconds:.3f} s; expected a start before that"
        raise VideoError(
            f"segment {start}-{end} s cannot be read: {reason}; correct the segment, replace the file, or leave the "
            "segment out",
            where=path,
        )

    @cached_property
    def _shortest_seconds(self) -> float:
        return min((after - before for before, after in pairwise(self.starts) if after > before), default=0.0)

    @property
    def _has_times(self) -> bool:
        return bool(self.time_base and self.stamps) and all(time is not None for time, _ in self.stamps)


def container_seconds(path: Path, container: InputContainer, stream: VideoStream) -> float | None:
    """Return how long the longest stream is by the container's head; None where that is not what counts.

    The head is read here where FFmpeg may have measured its figure, or leaves it out because the file is cut.
    """
    name = container.format.name
    if name == _MATROSKA:
        return container.duration / 1e6 if container.duration and stream_seconds(container, stream) is None else None
    read = _HEADS.get(name)
    if read is None:
        return None
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    try:
        seconds = read(head)
    except (ValueError, LookupError, ArithmeticError, struct.error):  # it says nothing of that kind
        return None
    return seconds if 0 < seconds < math.inf else None


def stream_seconds(container: InputContainer, stream: VideoStream) -> float | None:
    """Return how long a video stream is by its own tag, header or index; None where none says it."""
    if container.format.name == _MATROSKA:
        return _tagged_seconds(stream.metadata.get("DURATION", ""))
    if container.format.name not in _BY_STREAM:
        return None
    if container.format.name == "avi":  # FFmpeg shortens the duration of a cut AVI file, but not its count
        return stream.frames / float(stream.average_rate) if stream.average_rate else None
    return float(stream.duration * stream.time_base) if stream.duration and stream.time_base else None


def missing_frames(timing: Timing, *, promised_seconds: float, end_seconds: float, uncounted: int) -> int:
    """Return about how many frames a file lacks that ends too early; 0 if it may be whole.

    It may be whole if it lacks no more time than its longest frame takes, as the last one may take as long, or if it
    holds as many frames as a header or a tag counts. A count that is larger proves nothing alone: AVI also counts its
    empty time slots, MP4 the frames that an edit list cuts off. `uncounted` frames are counted beyond those found; it
    is negative where some or none are counted.
    """
    late_seconds = promised_seconds - end_seconds
    starts = timing.starts
    if late_seconds <= 0 or uncounted == 0 or len(starts) < FEWEST_FRAMES:
        return 0
    if late_seconds <= max(after - before for before, after in pairwise(starts)):
        return 0
    late = round(late_seconds * (len(starts) - 1) / starts[-1])
    return min(late, uncounted) if uncounted > 0 else late


def counted_frames(stream: VideoStream) -> int:
    """Return how many frames a header or a tag counts; 0 where none does."""
    tag = stream.metadata.get("NUMBER_OF_FRAMES", "")
    return stream.frames or (int(tag) if tag.isdecimal() else 0)


def _tagged_seconds(tag: str) -> float | None:
    """Return the seconds of a Matroska DURATION tag, `HH:MM:SS.nnnnnnnnn`, or None if it is something else."""
    try:
        hours, minutes, seconds = (float(part) for part in tag.split(":"))
    except ValueError:
        return None
    return hours * 3600 + minutes * 60 + seconds


def _flv_seconds(head: bytes) -> float:
    (seconds,) = struct.unpack_from(">d", head, head.index(_FLV_DURATION) + len(_FLV_DURATION))
    return float(seconds)


def _asf_seconds(head: bytes) -> float:
    length, _, lead = struct.unpack_from("<QQQ", head, head.index(_ASF_PROPERTIES) + 64)
    return float(length / 1e7 - lead / 1e3)


def _fragmented_seconds(head: bytes) -> float:
    """Return the seconds that an MP4's `mehd` box says, in units of the `mvhd` box."""
    times, length = head.index(b"mvhd") + 4, head.index(b"mehd") + 4
    (units,) = struct.unpack_from(">I", head, times + (20 if head[times] else 12))
    (duration,) = struct.unpack_from(">Q" if head[length] else ">I", head, length + 4)
    return float(duration / units)


_HEADS: dict[str, Callable[[bytes], float]] = {"flv": _flv_seconds, "asf": _asf_seconds, _MP4: _fragmented_seconds}
