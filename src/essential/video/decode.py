"""Video file -> frames, exact by frame number: decoded in order with PyAV, every frame counted.

Seeking and header counts are not trusted: on AVI files with MPEG-4 B-frames both name the wrong frames. Where a file's
own packets make it safe, only the groups of pictures (GOPs) that hold wanted frames are decoded; see `decode_groups`.

How near this is to bare decoding, and what was tried, is in `benchmarks/speed/decoding.py` and `seeking.py`.
"""

from collections.abc import Generator, Iterable, Sequence
from pathlib import Path

import av
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from essential.protocols.protocol import Segment
from essential.video.container import Survey, broken, explained_errors, opened_video, survey_packets
from essential.video.frame_folder import read_frame_folder
from essential.video.frames import FEWEST_FRAMES, Choose, DecodedFrames, Pixels, checked_indices
from essential.video.key_frames import decode_groups
from essential.video.timing import Stamp, Timing
from essential.video.wanted_frames import WantedFrames

# Encoders may leave out a frame or two (libxvid gives 198 of 200); more than this share is a loss.
_SHORTFALL_FRAMES = 2
_SHORTFALL_SHARE = 0.02


def read_frames(path: Path, choose: Choose, *, segment: Segment | None = None) -> DecodedFrames:
    """Read a video, or a segment of it, and return the frames that `choose` asks for, as RGB, upright.

    Rotation and mirroring recorded in the file are applied, to the nearest quarter turn. Every packet of the file is
    read, so that a file cut short is seen wherever the cut is; other damage is seen in all frames that are decoded.

    Args:
        path: the file; or a folder of frames, see `read_frame_folder`.
        choose: gives the wanted indices (from 0, any order, repeats allowed, at least one) for a number of frames,
            those of the segment where there is one. It must depend on that number alone: it may be called again, with
            the true number, after the decoding.
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
        survey = survey_packets(path, container, stream)
        expected = survey.timing.frames_in(segment)
        chosen = choose(len(expected)) if expected else []
        indices = [expected.start + index for index in chosen]
        # A choice outside the segment may be inside the file.
        if set(indices) <= set(expected):
            frames = decode_groups(path, survey.notes, indices)
            if frames is not None:
                check_count(path, survey, survey.frames)
                return DecodedFrames(frames, len(expected))
        first = _decode_packets(path, stream, survey.packets, indices) if survey.packets else _decode(path, indices)
    frames, timing = first
    check_count(path, survey, len(timing.stamps))
    timing.refuse_outside(path, segment)
    held = timing.frames_in(segment)
    wanted = [held.start + index for index in checked_indices(choose, len(held))]
    if wanted != indices:
        frames, _ = _decode(path, wanted)
    return DecodedFrames(frames, len(held))


def decoder_identity() -> dict[str, str]:
    """Return the versions of PyAV and of the FFmpeg libraries, which decide what the frames are."""
    names = ("libavcodec", "libavformat", "libavutil", "libswscale")
    libraries = {name: ".".join(map(str, av.library_versions[name])) for name in names}
    return {"pyav": av.__version__, **libraries}


def _decode(path: Path, indices: Sequence[int]) -> tuple[Pixels, Timing]:
    with opened_video(path) as (container, stream), explained_errors(path, "it cannot be decoded"):
        return _decode_packets(path, stream, container.demux(stream), indices)


def _decode_packets(
    path: Path, stream: VideoStream, packets: Iterable["Packet[VideoStream]"], indices: Sequence[int]
) -> tuple[Pixels, Timing]:
    """Return the frames at `indices`, unfilled where the file has none, and the times of all frames in the file."""
    wanted = WantedFrames(path, indices)
    stamps: list[Stamp] = []
    with explained_errors(path, "it cannot be decoded"):
        for index, frame in enumerate(decoded_frames(stream, packets)):
            wanted.take(index, frame)
            stamps.append((frame.pts, frame.duration))
        timing = Timing(stamps, stream.time_base, stream.average_rate)
    return wanted.frames, timing


def decoded_frames(stream: VideoStream, packets: Iterable["Packet[VideoStream]"]) -> Generator[VideoFrame, None, None]:
    """Yield every frame of a stream, in the order of showing."""
    for packet in packets:
        if packet.size:  # an empty packet would end the decoding
            yield from stream.decode(packet)
    yield from stream.decode(None)


def check_count(path: Path, survey: Survey, count: int) -> None:
    """Refuse a file that gave fewer frames than it promises, a few apart, or fewer than make a video.

    Raises:
        VideoError: it did.
    """
    promised = survey.frames + survey.missing
    undecoded = survey.frames - survey.blank - count if survey.counted else 0
    lost = survey.missing + max(0, undecoded)
    if lost > max(_SHORTFALL_FRAMES, _SHORTFALL_SHARE * promised):
        raise broken(path, f"it is damaged or cut short: it promises about {promised} frames and gives {count}")
    if count < FEWEST_FRAMES:
        raise broken(path, f"it holds {count} frame{'s' * (count != 1)}")
