"""Video file -> frames, exact by frame number: decoded in order with PyAV, every frame counted.

Seeking and header counts are not trusted: on AVI files with MPEG-4 B-frames both name the wrong frames. Where a file's
own packets make it safe, only the groups of pictures (GOPs) that hold wanted frames are decoded, from key frames on.
The packets come in order there too, as for the survey and the full decoding, with the same times; those outside the
groups are read and not decoded, at a hundredth of the cost. A frame is known by its time, and its number is that time's
rank among all packets' times. Frames that no other refers to are left out unless wanted, in H.264 and in MPEG-4, where
they are the B-frames, and where all else is decoded: damage in what is left out is not seen.

How near this is to bare decoding, and what was tried, is in `benchmarks/speed/decoding.py` and `seeking.py`.
"""

import math
from bisect import bisect_right
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from itertools import islice, pairwise
from pathlib import Path

import av
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from essential.errors import VideoError
from essential.protocols.protocol import Segment
from essential.video.container import (
    DECODER_LIMITS,
    Bitstream,
    PacketNote,
    Survey,
    lone_b_frames,
    opened_video,
    survey_file,
    survey_packets,
)
from essential.video.frame_folder import read_frame_folder
from essential.video.frames import (
    FEWEST_FRAMES,
    Choose,
    DecodedFrames,
    Pixels,
    WantedFrames,
    broken,
    checked_indices,
    explained_errors,
)
from essential.video.timing import Stamp, Timing

# Encoders may leave out a frame or two (libxvid gives 198 of 200); more than this share is a loss.
_SHORTFALL_FRAMES = 2
_SHORTFALL_SHARE = 0.02
# An hour's takes 10 MB. Segments of one file are asked for one after the other.
_SURVEYS_KEPT = 2


def read_frames(path: Path, choose: Choose, *, segment: Segment | None = None) -> DecodedFrames:
    """Read a video, or a segment of it, and return the frames that `choose` asks for, as RGB, upright.

    Rotation and mirroring recorded in the file are applied, to the nearest quarter turn. Every packet of the file is
    read, so that a file cut short is seen wherever the cut is; other damage is seen in all frames that are decoded:
    those wanted, and those that they may refer to.

    Args:
        path: the file; or a folder of frames, see `read_frame_folder`.
        choose: gives the wanted indices (from 0, any order, repeats allowed, at least one) for a number of frames. It
            must depend on that number alone: it may be called again, with the true number, after the decoding.
        segment: the part of the video to choose from; see `Timing.frames_in`.

    Raises:
        VideoError: the file is missing, empty, not a video, sound only, damaged, cut short, or holds fewer than
            2 frames; or the segment starts at the video's end or later, or is of a folder of frames.
        ValueError: `choose` asked for no frame, or for one that is not there.
    """
    with explained_errors(path, "it cannot be opened"):
        is_folder = path.is_dir()
    return read_frame_folder(path, choose, segment=segment) if is_folder else _read_file(path, choose, segment)


def _read_file(path: Path, choose: Choose, segment: Segment | None) -> DecodedFrames:
    with opened_video(path) as (container, stream):
        survey = survey_packets(path, container, stream) if segment is None else _survey_once(path)
        expected = survey.timing.frames_in(segment)
        chosen = choose(len(expected)) if expected else []
        indices = [expected.start + index for index in chosen]
        # A choice outside the segment may be inside the file.
        if set(indices) <= set(expected):
            frames = decode_groups(path, survey.notes, indices, held=survey.packets)
            if frames is not None:
                check_count(path, survey, survey.frames)
                return DecodedFrames(frames, len(expected))
        # A decoder that was used may remember something.
        is_held = survey.packets and not stream.codec_context.is_open
        first = _decode_held(path, survey.packets, indices) if is_held else None
        if first is None:
            first = _decode(path, indices)
    frames, timing = first
    check_count(path, survey, len(timing.stamps))
    timing.refuse_outside(path, segment)
    held = timing.frames_in(segment)
    wanted = [held.start + index for index in checked_indices(choose, len(held))]
    if wanted != indices:
        frames, _ = _decode(path, wanted)
    return DecodedFrames(frames, len(held))


def _survey_once(path: Path) -> Survey:
    """Survey a file of which more segments may be asked for: a pass over an hour's packets takes seconds."""
    status = path.stat()
    return _kept_survey(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=_SURVEYS_KEPT)
def _kept_survey(path: Path, _size: int, _mtime_ns: int) -> Survey:
    # Packets are of the container that they were read from.
    return replace(survey_file(path), packets=())


def decoder_identity() -> dict[str, str]:
    """Return the versions of PyAV and of the FFmpeg libraries, which decide what the frames are."""
    names = ("libavcodec", "libavformat", "libavutil", "libswscale")
    libraries = {name: ".".join(map(str, av.library_versions[name])) for name in names}
    return {"pyav": av.__version__, **libraries}


def _decode(path: Path, indices: Sequence[int]) -> tuple[Pixels, Timing]:
    """Return the frames at `indices`, unfilled where the file has none, and the times of all frames in the file."""
    wanted = WantedFrames(path, indices)
    stamps: list[Stamp] = []
    with opened_video(path) as (container, stream), explained_errors(path, "it cannot be decoded"):
        for index, frame in enumerate(decoded_frames(stream, container.demux(stream))):
            wanted.take(index, frame)
            stamps.append((frame.pts, frame.duration))
        return wanted.frames, Timing(stamps, stream.time_base, stream.average_rate)


def _decode_held(
    path: Path, packets: Sequence["Packet[VideoStream]"], indices: Sequence[int]
) -> tuple[Pixels, Timing] | None:
    """Do the same with a file's packets, without the times; None if the frames are not counted for sure.

    B-frames of MPEG-4 are left out unless wanted, by FFmpeg, which reads their heads: its decoder remembers more than
    frames. It gives such a frame at once, so the number of the next one is known before it is decoded.
    """
    stream, wanted, count = packets[0].stream, WantedFrames(path, indices), 0
    context = stream.codec_context
    with explained_errors(path, "it cannot be decoded"):
        for packet, is_lone_b in zip(packets, lone_b_frames(packets), strict=True):
            # In front of the second frame that others refer to, the decoder gives no B-frame.
            is_b_frame = is_lone_b and count > 0
            is_left_out = is_b_frame and not wanted.includes(count)
            context.skip_frame = "NONREF" if is_left_out else "DEFAULT"
            frames = stream.decode(packet)
            if is_b_frame and len(frames) != (not is_left_out):
                return None
            for frame in frames:
                wanted.take(count, frame)
                count += 1
            count += is_left_out
        context.skip_frame = "DEFAULT"
        for frame in stream.decode(None):
            wanted.take(count, frame)
            count += 1
    return wanted.frames, Timing([(None, None)] * count, stream.time_base, stream.average_rate)


def decoded_frames(stream: VideoStream, packets: Iterable["Packet[VideoStream]"]) -> Generator[VideoFrame, None, None]:
    """Yield every frame of a stream, in the order of showing."""
    for packet in packets:
        if packet.size:  # an empty packet would end the decoding
            yield from stream.decode(packet)
    yield from stream.decode(None)


def check_count(path: Path, survey: Survey, count: int) -> None:
    """Raise a VideoError for fewer frames than a file promises, a few apart, or than make a video."""
    promised = survey.frames + survey.missing
    undecoded = survey.frames - survey.blank - count if survey.counted else 0
    lost = survey.missing + max(0, undecoded)
    if lost > max(_SHORTFALL_FRAMES, _SHORTFALL_SHARE * promised):
        raise broken(path, f"it is damaged or cut short: it promises about {promised} frames and gives {count}")
    if count < FEWEST_FRAMES:
        raise broken(path, f"it holds {count} frame{'s' * (count != 1)}")


def decode_groups(
    path: Path, notes: Sequence[PacketNote], indices: Sequence[int], *, held: Sequence["Packet[VideoStream]"] = ()
) -> Pixels | None:
    """Return the frames at `indices`, equal to those of the full decoding, or None where that is to be used.

    It is to be used wherever anything is other than what makes the groups safe:

    - every packet's time is known and its own, the first one's is the least, and decoding may begin there;
    - the times are not those of the packets' own order where the stream says that its frames' order is another;
    - every packet decoded gives one frame, of its own time, in order of time. So a packet of one field, or of none,
      a decoder that drops a frame, and times that are not those of the frames are found;
    - FFmpeg finds no fault: here it stops at one, where the full decoding conceals what it can.

    A frame shown before a key frame that stands before it in the file (an "open" group) may refer to frames in front
    of that key frame, and is decoded from an earlier one. Frames that no other refers to are left out unless wanted,
    where it is sure: see `Bitstream.is_disposable`.

    Args:
        notes: of every packet of the stream, in the file's order.
        indices: the wanted frames, numbers in order of showing; any order, repeats allowed.
        held: the packets, of a file that is open, by whose decoder nothing was decoded; else they are read.
    """
    numbers = _packets_by_index(notes)
    if not indices or not all(0 <= index < len(numbers) for index in indices):
        return None
    groups = _groups(notes, {numbers[index] for index in indices})
    wanted = WantedFrames(path, indices)
    by_time = {notes[number].time or 0: index for index, number in enumerate(numbers)}
    is_reordered = any(before > after for before, after in pairwise(numbers))
    try:
        with _packets(path, held) as (stream, packets), explained_errors(path, "it cannot be decoded"):
            if stream.codec_context.has_b_frames and not is_reordered:
                return None
            safe = _decode_groups(stream, packets, groups, wanted=wanted, indices=by_time)
    except VideoError:  # the full decoding takes it all the same, or says what is wrong
        return None
    return wanted.frames if safe and wanted.is_complete else None


def _packets_by_index(notes: Sequence[PacketNote]) -> list[int]:
    """Return the place of each frame's packet, in order of showing; nothing where that is not sure."""
    times = [note.time for note in notes if note.time is not None]
    if not times or len(set(times)) < len(notes) or not notes[0].starts_anew or notes[0].time != min(times):
        return []
    shown = (number for number, note in enumerate(notes) if note.is_shown)
    return sorted(shown, key=lambda number: notes[number].time or 0)


def _groups(notes: Sequence[PacketNote], numbers: set[int]) -> list[range]:
    """Return the packets to decode, in runs that each begin at a key frame.

    The first packet is always among them: encoders say there who they are, and FFmpeg decodes accordingly.
    """
    starts = [number for number, note in enumerate(notes) if note.starts_anew]
    groups = [range(1)]
    for number in sorted(numbers):
        place = bisect_right(starts, number) - 1
        while (notes[starts[place]].time or 0) > (notes[number].time or 0):
            place -= 1
        start = starts[place]
        while groups and start < groups[-1].stop:
            start = min(start, groups.pop().start)
        groups.append(range(start, number + 1))
    return groups


@contextmanager
def _packets(
    path: Path, held: Sequence["Packet[VideoStream]"]
) -> Iterator[tuple[VideoStream, Iterator["Packet[VideoStream]"]]]:
    """Give a stream and its packets: those held, or of the file."""
    if held:
        yield held[0].stream, iter(held)
        return
    with opened_video(path) as (container, stream):
        yield stream, (packet for packet in container.demux(stream) if packet.size)


def _decode_groups(
    stream: VideoStream,
    packets: Iterator["Packet[VideoStream]"],
    groups: Sequence[range],
    *,
    wanted: WantedFrames,
    indices: Mapping[int, int],
) -> bool:
    """Decode the groups into `wanted`; return whether all was as it must be."""
    stream.codec_context.options = {**DECODER_LIMITS, "err_detect": "explode"}
    bitstream = Bitstream(stream)
    position = 0
    for group in groups:
        of_group = islice(packets, group.start - position, group.stop - position)
        if not _decode_group(of_group, stream, bitstream, wanted=wanted, indices=indices):
            return False
        position = group.stop
    return True


def _decode_group(
    packets: Iterable["Packet[VideoStream]"],
    stream: VideoStream,
    bitstream: Bitstream,
    *,
    wanted: WantedFrames,
    indices: Mapping[int, int],
) -> bool:
    """Decode packets from a key frame on; return whether exactly their frames came, in order of time."""
    sent: list[int] = []
    given: list[int] = []
    latest = -math.inf

    def take(frames: Iterable[VideoFrame]) -> Iterator[int]:
        """Keep wanted frames and yield the times of all; -1 for one that cannot be right.

        Those shown before the key frame are passed over: what they refer to may not have been decoded.
        """
        for frame in frames:
            if frame.pts is None or (frame.pts == sent[0] and not frame.key_frame):
                yield -1
            elif frame.pts >= sent[0]:
                wanted.take(indices.get(frame.pts, -1), frame)
                yield frame.pts

    for packet in packets:
        time = packet.pts
        if time is None:
            return False
        # Only what is shown before a frame already sent, a B-frame by the container's times too: were they not those of
        # the frames, all would be sent, and the order in which they come would show it.
        if time < latest and not wanted.includes(indices.get(time, -1)) and bitstream.is_disposable(packet):
            continue
        latest = max(latest, time)
        sent.append(time)
        given += take(stream.decode(packet))
    given += take(stream.decode(None))
    stream.codec_context.flush_buffers()
    return given == sorted(time for time in sent if time >= sent[0] and time in indices)
