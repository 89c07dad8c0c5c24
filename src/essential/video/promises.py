"""What a file says of its own length, and by how many pictures it falls short of that.

A copy that was cut off keeps what its head says. In this order, the first that there is:

- the video stream's tag DURATION (Matroska, WebM);
- the container's length, which is that of its longest stream (Matroska, WebM, FLV, ASF, fragmented MP4);
- the video stream's length, by its header or index (MP4, MOV, 3GP, AVI, MXF, IVF, RM), also that of a fragmented MP4
  (`sidx`, or the fragment that it ends in).

MPEG-TS, MPEG-PS, Ogg, GIF, NUT and bare streams say nothing of it: what FFmpeg gives for them, it has measured.
"""

import math
import struct
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from av.container import InputContainer
from av.video.stream import VideoStream

from essential.video.frames import FEWEST_PICTURES
from essential.video.timing import Timing

_MP4, _MATROSKA = "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"
_BY_STREAM = frozenset({_MP4, "avi", "mxf", "ivf", "rm"})
_HEAD_BYTES = 64 * 1024
# The properties of an ASF file (a GUID); their sizes and times follow it.
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_FLV_DURATION = b"\x00\x08duration\x00"


def container_seconds(path: Path, container: InputContainer, stream: VideoStream) -> float | None:
    """Return how long the longest stream is by the container's head; None where that is not what counts.

    Where FFmpeg's own figure may be one that it measured, or is left out because the file is cut, the head is read
    here.
    """
    name = container.format.name
    if name == _MATROSKA:
        is_told = container.duration and stream_seconds(container, stream) is None
        return container.duration / 1e6 if is_told and container.duration else None
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


def missing_pictures(timing: Timing, *, promised_seconds: float, end_seconds: float, uncounted: int) -> int:
    """Return about how many pictures a file lacks that ends too early; 0 if it may be whole.

    It may be if it lacks no more time than the longest of its pictures takes, as the last one may take as long. It is
    whole if it holds as many pictures as a header or a tag counts. More of them than there are prove nothing alone:
    AVI also counts its empty time slots, MP4 the pictures that an edit list cuts off.

    Args:
        timing: of the pictures found.
        promised_seconds: when the file should end.
        end_seconds: when it does.
        uncounted: how many pictures more than were found the file counts; negative where it counts some or none.
    """
    late_seconds = promised_seconds - end_seconds
    starts = timing.starts
    if late_seconds <= 0 or uncounted == 0 or len(starts) < FEWEST_PICTURES:
        return 0
    if late_seconds <= max(after - before for before, after in pairwise(starts)):
        return 0
    late = round(late_seconds * (len(starts) - 1) / starts[-1])
    return min(late, uncounted) if uncounted > 0 else late


def counted_pictures(stream: VideoStream) -> int:
    """Return how many pictures a header or a tag counts; 0 where none does."""
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


_HEADS: dict[str, Callable[[bytes], float]] = {
    "flv": _flv_seconds,
    "asf": _asf_seconds,
    _MP4: _fragmented_seconds,
}
