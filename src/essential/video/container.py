"""Opening a video file, and what its packets say before any frame is decoded.

Every complaint of PyAV or FFmpeg leaves this layer as a `VideoError` that names the file.

Units of H.264: ITU-T Rec. H.264, table 7-1 (kinds) and clause 7.4.1 (`nal_ref_idc`); ISO/IEC 14496-15 (in MP4).
Frames of MPEG-4: ISO/IEC 14496-2, table 6-3 (start codes) and 6-20 (`vop_coding_type`).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream

from essential.errors import VideoError
from essential.files.given import absence
from essential.video.frames import broken, explained_errors
from essential.video.timing import Stamp, Timing, container_seconds, counted_frames, missing_frames, stream_seconds

# XviD's "not coded" frame, which says "show the last one again", is a header of 7 bytes or so.
_LARGEST_BLANK_BYTES = 8
# Reading a clip's packets once, not twice, saves 3 % of the time; a long film is read again.
_HELD_BYTES = 16 * 1024**2
# A frame of 8K has 33 million pixels. A header may promise any number, and a decoder sets memory aside for them.
LARGEST_FRAME_PIXELS = 36_000_000
# FFmpeg refuses larger ones before it sets memory aside: while it looks into a file, and wherever the size changes.
DECODER_LIMITS = {"max_pixels": str(LARGEST_FRAME_PIXELS)}
# FFmpeg also reads playlists and scripts, which open other files of this machine, and addresses; text, and images.
# These are videos, each complete in its one file, and sounds, to say that they are.
_FORMATS = (
    "mov,mp4,matroska,webm,avi,mpegts,mpeg,ogg,flv,asf,gif,apng,mxf,nut,rm,ivf,dv,gxf,wtv,swf,yuv4mpegpipe,"
    "h264,hevc,vvc,obu,m4v,mpegvideo,mjpeg,h263,h261,vc1,cavsvideo,dirac,dhav,nsv,wav,mp3,aac,flac"
)
_OPENING = {**DECODER_LIMITS, "format_whitelist": _FORMATS, "protocol_whitelist": "file"}
_NOT_ALLOWED = "not a video that is complete in one file: FFmpeg takes it for an image, a text or a playlist"
# Both keep each frame's own time, and by their rules a key frame is one that decoding can begin at.
_KEY_FRAME_FORMATS = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"})
# Of one packet for each frame shown, and of key frames after which no frame refers to what came before, but for those
# shown before the key frame. MPEG-4 is left out: its decoder remembers more than frames. VP8 is left out: some of its
# packets show nothing.
_CODECS = frozenset({"h264", "hevc", "vp9", "av1"})
_SLICE, _IDR_SLICE = 1, 5
# What each frame of MPEG-4 begins with, and the two bits after it.
_MPEG4_FRAME, _MPEG4_B = b"\0\0\1\xb6", 2
# Remarks on the frame, a delimiter, padding.
_NO_FRAME = frozenset({6, 9, 12})


class PacketNote(NamedTuple):
    """What is remembered of a packet: its frame's time in the stream's time base, and if an edit list leaves it in."""

    time: int | None
    starts_anew: bool
    is_shown: bool


class Bitstream:
    """Reads the heads of one stream's packets."""

    def __init__(self, stream: VideoStream) -> None:
        codec = stream.codec_context.codec.canonical_name
        is_known = stream.container.format.name in _KEY_FRAME_FORMATS and codec in _CODECS
        extradata = stream.codec_context.extradata or b""
        self._codec = codec if is_known else None
        # 0: units are not counted off by their lengths.
        self._length_bytes = (extradata[4] & 3) + 1 if len(extradata) > 4 and extradata[0] == 1 else 0

    def starts_anew(self, packet: "Packet[VideoStream]") -> bool:
        """Return whether no frame from here on, but for those shown before this one, refers to one before.

        The container's flag is not enough for H.264: some call a frame a key frame from which later ones look back.
        False where the format or the codec gives no such guarantee.
        """
        if not packet.is_keyframe or self._codec is None:
            return False
        return self._codec != "h264" or any(head & 31 == _IDR_SLICE for head in self._heads(packet))

    def is_disposable(self, packet: "Packet[VideoStream]") -> bool:
        """Return whether it is sure that no other frame refers to this one; known for H.264 alone.

        HEVC has a mark that looks alike, but frames of higher temporal layers may refer to those that bear it.
        """
        if self._codec != "h264":
            return False
        heads = [head for head in self._heads(packet) if head & 31 not in _NO_FRAME]
        return bool(heads) and all(head & 31 == _SLICE and not head >> 5 & 3 for head in heads)

    def _heads(self, packet: "Packet[VideoStream]") -> list[int]:
        """Return the first byte of each unit; nothing if the lengths do not add up."""
        content, place = memoryview(packet), 0
        heads = []
        while self._length_bytes and place < len(content):
            start = place + self._length_bytes
            place = start + int.from_bytes(content[place:start], "big")
            if not start < place <= len(content):
                return []
            heads.append(content[start])
        return heads


def lone_b_frames(packets: Sequence["Packet[VideoStream]"]) -> list[bool]:
    """Return which of a stream's packets hold a B-frame of MPEG-4 and nothing else: no frame refers to it.

    None does where some packet holds two frames ("packed"), or for another codec.
    """
    found = [False] * len(packets)
    if packets[0].stream.codec_context.name != "mpeg4":
        return found
    for number, packet in enumerate(packets):
        content = bytes(packet)
        place = content.find(_MPEG4_FRAME)
        if place >= 0 and content.find(_MPEG4_FRAME, place + 4) >= 0:
            return [False] * len(packets)
        is_coded = len(content.rstrip(b"\0")) > 2 * _LARGEST_BLANK_BYTES
        found[number] = is_coded and content[:4] == _MPEG4_FRAME and content[4] >> 6 == _MPEG4_B
    return found


@dataclass(frozen=True, slots=True)
class Survey:
    """What a pass over the packets found, nothing decoded: notes on all in the file's order, and they, if not too many.

    Attributes:
        frames: how many the decoder should show, by an estimate, as `timing` is.
        blank: how many of them may only say "show the last frame again", for which the decoder gives nothing.
        missing: how many more the header states than the file holds.
        counted: the header counts frames, so the decoder must give as many.
    """

    frames: int
    blank: int
    missing: int
    counted: bool
    timing: Timing
    notes: Sequence[PacketNote]
    packets: Sequence["Packet[VideoStream]"]


@contextmanager
def opened_video(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file and give its container and its video stream, set to decode on one thread, or a VideoError."""
    with explained_errors(path, "it cannot be opened"):
        _check_file(path)
    with explained_errors(path, "not a video, or damaged"):
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
            # So FFmpeg leaves it where it refused the size of a frame.
            problem = f"its frames have no size, or one above the {LARGEST_FRAME_PIXELS:,} pixels that are allowed (8K)"
            raise broken(path, problem) from error


def survey_file(path: Path) -> Survey:
    """Open a file and survey its packets; see `survey_packets`."""
    with opened_video(path) as (container, stream):
        return survey_packets(path, container, stream)


def survey_packets(path: Path, container: InputContainer, stream: VideoStream) -> Survey:
    """Read every packet of a file just opened, decoding none; a VideoError if it ends inside a frame."""
    blank, cut = 0, False
    ends: dict[int, int] = {}
    stamps: list[Stamp] = []
    notes: list[PacketNote] = []
    packets: list[Packet[VideoStream]] = []
    with explained_errors(path, "it cannot be read to its end"):
        is_held = path.stat().st_size <= _HELD_BYTES
        bitstream = Bitstream(stream)
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
        timing = Timing(stamps, stream.time_base, stream.average_rate)
        bases = {one.index: one.time_base or 0 for one in container.streams}
        missing = missing_frames(
            timing,
            promised_seconds=of_all or stream_seconds(container, stream) or 0.0,
            end_seconds=max((float(end * bases[index]) for index, end in ends.items()), default=0.0),
            uncounted=counted_frames(stream) - len(notes),
        )
    if cut:
        raise broken(path, f"it is cut short inside frame {len(notes)}")
    return Survey(len(stamps), blank, missing, stream.frames > 0, timing, notes, packets)


def _end(packet: "Packet[Any]") -> int:
    """Return when a packet's frame, sound or text is over, in its stream's time base; 0 where it does not say it."""
    start = packet.dts if packet.pts is None else packet.pts
    return 0 if start is None else start + (packet.duration or 0)


def _check_file(path: Path) -> None:
    if not path.exists():
        raise broken(path, absence(path))
    if not path.is_file():
        raise broken(path, "it is not a file")
    if path.stat().st_size == 0:
        raise broken(path, "it is empty (0 bytes)")
    with path.open("rb"):  # so that a lack of permission is not taken for a file that is no video
        pass


def _animated(path: Path) -> str | None:
    """Return what to say of an animated WebP file; None of any other."""
    with path.open("rb") as file:
        head = file.read(21)
    is_animated = head[:4] + head[8:16] == b"RIFFWEBPVP8X" and head[20:21] and head[20] & 2
    return "FFmpeg has no decoder for animated WebP" if is_animated else None


def _video_stream(path: Path, container: InputContainer) -> VideoStream:
    """Return the track that the file flags as default, as players choose; the first where it flags none."""
    # A cover image inside a sound file calls itself a video stream, and so do previews.
    still = Disposition.attached_pic | Disposition.timed_thumbnails
    streams = [stream for stream in container.streams.video if not stream.disposition & still]
    if not streams:
        kinds = sorted({"cover image" if stream.type == "video" else stream.type for stream in container.streams})
        raise broken(path, f"it holds no video stream, only {', '.join(kinds) or 'nothing'}")
    stream = next((one for one in streams if one.disposition & Disposition.default), streams[0])
    if stream.codec_context is None:
        raise broken(path, "this build of FFmpeg has no decoder for it")
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > LARGEST_FRAME_PIXELS:
        allowed = f"{LARGEST_FRAME_PIXELS:,} are allowed (8K)"
        raise broken(path, f"its frames have {width} x {height} pixels, and {allowed}")
    stream.codec_context.options = dict(DECODER_LIMITS)
    stream.codec_context.thread_count = 1
    stream.codec_context.thread_type = "NONE"
    return stream
