"""Opening a video file, and what its packets say before any picture is decoded.

Every complaint of PyAV or FFmpeg leaves this layer as a `VideoError` that names the file.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream

from essential.errors import VideoError
from essential.files.given import absence
from essential.video.machine import LIBRARY_ERRORS, refuse_machines_fault
from essential.video.packets import Bitstream, PacketNote
from essential.video.promises import container_seconds, counted_pictures, missing_pictures, stream_seconds
from essential.video.timing import Stamp, Timing

# XviD's "not coded" picture, which says "show the last one again", is a header of 7 bytes or so.
_LARGEST_BLANK_BYTES = 8
# Reading a clip's packets once, not twice, saves 3 % of the time; a long film is read again.
_HELD_BYTES = 16 * 1024**2
# A picture of 8K has 33 million pixels. A header may promise any number, and a decoder sets memory aside for them.
LARGEST_PICTURE_PIXELS = 36_000_000
# FFmpeg refuses larger ones before it sets memory aside: while it looks into a file, and wherever the size changes.
DECODER_LIMITS = {"max_pixels": str(LARGEST_PICTURE_PIXELS)}
# FFmpeg also reads playlists and scripts, which open other files of this machine, and addresses; text, and pictures.
# These are videos, each complete in its one file, and sounds, of which it can be said that they are.
_FORMATS = (
    "mov,mp4,matroska,webm,avi,mpegts,mpeg,ogg,flv,asf,gif,apng,mxf,nut,rm,ivf,dv,gxf,wtv,swf,yuv4mpegpipe,"
    "h264,hevc,vvc,obu,m4v,mpegvideo,mjpeg,h263,h261,vc1,cavsvideo,dirac,dhav,nsv,wav,mp3,aac,flac"
)
_OPENING = {**DECODER_LIMITS, "format_whitelist": _FORMATS, "protocol_whitelist": "file"}
_NOT_ALLOWED = "FFmpeg takes it for no video that is complete in one file, but for a picture, a text or a playlist"
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
    """Turn whatever PyAV raises inside into a `VideoError` that names the file, the problem and PyAV's word for it.

    Raises:
        VideoError: it raised something.
        DataError: that was the machine's fault; see `refuse_machines_fault`.
    """
    try:
        yield
    except (av.FFmpegError, *LIBRARY_ERRORS) as error:
        refuse_machines_fault(path, error)
        cause = error.strerror if isinstance(error, av.FFmpegError | OSError) else None
        raise broken(path, f"{problem} ({cause or error or type(error).__name__})") from error


@contextmanager
def opened_video(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file and give its container and its video stream, set to decode on one thread.

    Raises:
        VideoError: there is no such file, it is empty, it is not a video, or it holds sound only.
    """
    with explained_errors(path, "it cannot be opened"):
        _check_file(path)
    with explained_errors(path, "it is no video that FFmpeg knows, or it is cut short"):
        try:
            # "file:" keeps a colon in the name from being read as a network protocol.
            container = av.open(f"file:{path}", mode="r", metadata_errors="ignore", options=_OPENING)
        except av.ArgumentError as error:
            raise broken(path, _animated(path) or _NOT_ALLOWED) from error
    with container:
        stream = _video_stream(path, container)
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
    """Read every packet of the video stream of a file just opened, decoding none.

    Raises:
        VideoError: the file cannot be opened or read, or it ends inside a picture.
    """
    blank = 0
    ends: dict[int, int] = {}
    stamps: list[Stamp] = []
    notes: list[PacketNote] = []
    packets: list[Packet[VideoStream]] = []
    cut = False
    with explained_errors(path, "it cannot be read to its end"):
        is_held = path.stat().st_size <= _HELD_BYTES
        bitstream = Bitstream(container, stream)
        may_be_blank = stream.codec_context.name == "mpeg4"
        of_all = container_seconds(path, container, stream)
        every: Iterator[Packet[Any]] = container.demux(*(container.streams if of_all else [stream]))
        for packet in every:
            if packet.size == 0:
                continue
            is_shown = not packet.is_discard  # else decoded for the sake of others, cut off by an edit list
            if is_shown:
                ends[packet.stream_index] = max(ends.get(packet.stream_index, 0), _end(packet))
            if packet.stream_index != stream.index:
                continue
            cut = packet.is_corrupt
            notes.append(PacketNote(packet.pts, bitstream.starts_anew(packet), is_shown))
            if is_held:
                packets.append(packet)
            if is_shown:
                stamps.append((packet.pts, packet.duration))
                blank += may_be_blank and packet.size <= _LARGEST_BLANK_BYTES
        counted = stream.frames > 0
        timing = Timing(stamps, stream.time_base, stream.average_rate)
        bases = {one.index: one.time_base or 0 for one in container.streams}
        missing = missing_pictures(
            timing,
            promised_seconds=of_all or stream_seconds(container, stream) or 0.0,
            end_seconds=max((float(end * bases[index]) for index, end in ends.items()), default=0.0),
            uncounted=counted_pictures(stream) - len(notes),
        )
    if cut:
        raise broken(path, f"it is cut short inside picture {len(notes)}")
    return Survey(len(stamps), blank, missing, counted, timing, notes, packets)


def _end(packet: "Packet[Any]") -> int:
    """Return when a packet's picture, sound or text is over, in its stream's time base; 0 where it does not say it."""
    start = packet.dts if packet.pts is None else packet.pts
    return 0 if start is None else start + (packet.duration or 0)


def _check_file(path: Path) -> None:
    if not path.exists():
        raise broken(path, absence(path))
    if not path.is_file():
        raise broken(path, "it is not a file")
    if path.stat().st_size == 0:
        raise broken(path, "it is empty (0 bytes)")
    with path.open("rb"):  # tells a lack of permission from a file that is no video
        pass


def _animated(path: Path) -> str | None:
    """Return what to say of an animated WebP file; None of any other."""
    with path.open("rb") as file:
        head = file.read(21)
    is_animated = head[:4] + head[8:16] == b"RIFFWEBPVP8X" and head[20:21] and head[20] & 2
    return "FFmpeg has no decoder for animated WebP" if is_animated else None


def _video_stream(path: Path, container: InputContainer) -> VideoStream:
    """Return the track that the file calls its default one, as players choose; the first where it calls none so."""
    # A cover picture inside a sound file calls itself a video stream, and so do previews.
    still = Disposition.attached_pic | Disposition.timed_thumbnails
    streams = [stream for stream in container.streams.video if not stream.disposition & still]
    if not streams:
        kinds = sorted({"cover picture" if stream.type == "video" else stream.type for stream in container.streams})
        raise broken(path, f"it holds no video stream, only {', '.join(kinds) or 'nothing'}")
    stream = next((one for one in streams if one.disposition & Disposition.default), streams[0])
    if stream.codec_context is None:
        raise broken(path, "this build of FFmpeg has no decoder for it")
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > LARGEST_PICTURE_PIXELS:
        raise broken(
            path, f"its pictures have {width} x {height} pixels, and {LARGEST_PICTURE_PIXELS:,} are allowed (8K)"
        )
    stream.codec_context.options = dict(DECODER_LIMITS)
    stream.codec_context.thread_count = 1
    stream.codec_context.thread_type = "NONE"
    return stream
