"""Opening a video file, and what its packets say before any picture is decoded.

Every complaint of PyAV or FFmpeg leaves this layer as a `VideoError` that names the file.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream

from essential.errors import VideoError
from essential.video.packets import Bitstream, PacketNote
from essential.video.timing import Stamp, Timing

# What PyAV was seen to raise on damaged files: MemoryError for enormous pictures, LookupError for surprise streams.
_LIBRARY_ERRORS = (
    av.FFmpegError,
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    ArithmeticError,
    LookupError,
    MemoryError,
)
# FFmpeg plays text files as if a terminal showed them.
_TEXT_CODECS = frozenset({"ansi", "bintext", "idf", "xbin"})
# XviD's "not coded" picture, which says "show the last one again", is a header of 7 bytes or so.
_LARGEST_BLANK_BYTES = 8
# Reading a clip's packets once, not twice, saves 3 % of the time; a long film is read again.
_HELD_BYTES = 16 * 1024**2
# A picture of 8K has 33 million pixels. A header may promise any number, and a decoder sets memory aside for them.
LARGEST_PICTURE_PIXELS = 36_000_000
# FFmpeg refuses larger ones before it sets memory aside: while it looks into a file, and wherever the size changes.
DECODER_LIMITS = {"max_pixels": str(LARGEST_PICTURE_PIXELS)}
_ALLOWED = "expected a complete video (MP4, AVI, MKV, WebM, ...) of 2 pictures or more"


@dataclass(frozen=True, slots=True)
class Survey:
    """What a pass over the packets found, nothing decoded.

    Attributes:
        pictures: how many the decoder should show; an estimate.
        blank: how many of them may be a mere "show the last picture again", for which the decoder gives nothing.
        missing: how many more the header promises than the file holds.
        counted: the header counts pictures, so the decoder can be held to the number.
        timing: when they are shown, an estimate likewise.
        notes: of every packet, in the file's order.
        packets: they themselves; none where the file is too large to be held.
    """

    pictures: int
    blank: int
    missing: int
    counted: bool
    timing: Timing
    notes: Sequence[PacketNote]
    packets: Sequence["Packet[VideoStream]"]


def broken(path: Path, reason: str) -> VideoError:
    """Return the error for a file that cannot be used, ready to be raised."""
    return VideoError(f"cannot read video {path}: {reason}; {_ALLOWED}; replace the file or leave it out")


@contextmanager
def explained_errors(path: Path, problem: str) -> Iterator[None]:
    """Turn whatever PyAV raises inside into a `VideoError` that names the file, the problem and PyAV's word for it."""
    try:
        yield
    except _LIBRARY_ERRORS as error:
        cause = error.strerror if isinstance(error, av.FFmpegError | OSError) else None
        raise broken(path, f"{problem} ({cause or error or type(error).__name__})") from error


@contextmanager
def opened_video(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file and give its container and its first video stream, set to decode on one thread.

    Raises:
        VideoError: there is no such file, it is empty, it is not a video, or it holds sound only.
    """
    with explained_errors(path, "it cannot be opened"):
        _check_file(path)
    with explained_errors(path, "it is no video that FFmpeg knows, or it is cut short"):
        # "file:" keeps a colon in the name from being read as a network protocol.
        container = av.open(f"file:{path}", mode="r", metadata_errors="ignore", options=DECODER_LIMITS)
    with container:
        stream = _first_video_stream(path, container)
        try:
            yield container, stream
        except VideoError as error:
            if stream.codec_context.width:
                raise
            # So FFmpeg leaves it where it refused the size of a picture.
            reason = (
                f"its pictures have no size, or one above the {LARGEST_PICTURE_PIXELS:,} pixels that are allowed (8K)"
            )
            raise broken(path, reason) from error


def survey_file(path: Path) -> Survey:
    """Open a file and survey its packets; see `survey_packets`."""
    with opened_video(path) as (container, stream):
        return survey_packets(path, container, stream)


def survey_packets(path: Path, container: InputContainer, stream: VideoStream) -> Survey:
    """Read every packet of the first video stream of a file just opened, decoding none.

    Raises:
        VideoError: the file cannot be opened or read, or it ends inside a picture.
    """
    blank = latest = 0
    stamps: list[Stamp] = []
    notes: list[PacketNote] = []
    packets: list[Packet[VideoStream]] = []
    cut = False
    with explained_errors(path, "it cannot be read to its end"):
        is_held = path.stat().st_size <= _HELD_BYTES
        bitstream = Bitstream(container, stream)
        may_be_blank = stream.codec_context.name == "mpeg4"
        for packet in container.demux(stream):
            size = packet.size
            if size == 0:
                continue
            cut = packet.is_corrupt
            time, duration = packet.pts, packet.duration
            is_shown = not packet.is_discard  # else decoded for the sake of others, cut off by an edit list
            notes.append(PacketNote(time, bitstream.starts_anew(packet), is_shown))
            if is_held:
                packets.append(packet)
            if is_shown:
                stamps.append((time, duration))
                blank += may_be_blank and size <= _LARGEST_BLANK_BYTES
                start = packet.dts if time is None else time
                latest = max(latest, 0 if start is None else start + (duration or 0))
        end_seconds = float(latest * stream.time_base) if stream.time_base else 0.0
        missing = _missing_at_end(container, stream, packets=len(notes), end_seconds=end_seconds)
        counted = stream.frames > 0
        timing = Timing(stamps, stream.time_base, stream.average_rate)
    if cut:
        raise broken(path, f"it is cut short inside picture {len(notes)}")
    return Survey(len(stamps), blank, missing, counted, timing, notes, packets)


def _check_file(path: Path) -> None:
    if not path.exists():
        raise broken(path, "there is no such file")
    if not path.is_file():
        raise broken(path, "it is not a file")
    if path.stat().st_size == 0:
        raise broken(path, "it is empty (0 bytes)")
    with path.open("rb"):  # tells a lack of permission from a file that is no video
        pass


def _first_video_stream(path: Path, container: InputContainer) -> VideoStream:
    # A cover picture inside a sound file calls itself a video stream.
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        kinds = sorted({"cover picture" if stream.type == "video" else stream.type for stream in container.streams})
        raise broken(path, f"it holds no video stream, only {', '.join(kinds) or 'nothing'}")
    stream = streams[0]
    if stream.codec_context is None:
        raise broken(path, "this build of FFmpeg has no decoder for it")
    if stream.codec_context.name in _TEXT_CODECS:
        raise broken(path, "it is a text file")
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > LARGEST_PICTURE_PIXELS:
        raise broken(
            path, f"its pictures have {width} x {height} pixels, and {LARGEST_PICTURE_PIXELS:,} are allowed (8K)"
        )
    stream.codec_context.options = dict(DECODER_LIMITS)
    stream.codec_context.thread_count = 1
    stream.codec_context.thread_type = "NONE"
    return stream


def _missing_at_end(container: InputContainer, stream: VideoStream, *, packets: int, end_seconds: float) -> int:
    """Return how many pictures the header promises after the last one found.

    The header's count alone proves nothing: AVI also counts its empty time slots, and MP4 the pictures that an edit
    list cuts off. A file is short only if it is short in time too. Matroska promises time alone.
    """
    rate = float(stream.average_rate or 0)
    if stream.frames:
        uncounted = stream.frames - packets
        promised_seconds = _promised_seconds(container, stream, rate)
    else:
        uncounted = None
        promised_seconds = _tagged_seconds(stream.metadata.get("DURATION", ""))
    late = None if promised_seconds is None else round((promised_seconds - end_seconds) * rate)
    return max(0, min((count for count in (uncounted, late) if count is not None), default=0))


def _promised_seconds(container: InputContainer, stream: VideoStream, rate: float) -> float | None:
    if container.format.name == "avi":  # FFmpeg shortens the duration of a cut AVI file, but not its count
        return stream.frames / rate if rate else None
    if stream.duration is None or stream.time_base is None:
        return None
    return float(stream.duration * stream.time_base)


def _tagged_seconds(tag: str) -> float | None:
    """Return the seconds of a Matroska DURATION tag, `HH:MM:SS.nnnnnnnnn`, or None if it is something else."""
    try:
        hours, minutes, seconds = (float(part) for part in tag.split(":"))
    except ValueError:
        return None
    return hours * 3600 + minutes * 60 + seconds
