"""Video file -> pictures, exact by picture number: decoded in order with PyAV, every picture counted.

Seeking and header counts are not trusted: on AVI files with MPEG-4 B-frames both name the wrong pictures. Where a
file's own packets make it safe, only the groups of pictures that hold wanted ones are decoded; see `decode_groups`.

How near this is to the mere decoding, and what was tried, is in `benchmarks/speed/decoding.py` and `seeking.py`.
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
from essential.video.frames import FEWEST_PICTURES, Choose, DecodedFrames, Picture, checked_indices
from essential.video.key_frames import decode_groups
from essential.video.timing import Stamp, Timing
from essential.video.wanted_frames import WantedPictures

# Encoders may leave out a picture or two (libxvid gives 198 of 200); more than this share is a loss.
_SHORTFALL_PICTURES = 2
_SHORTFALL_SHARE = 0.02


def read_frames(path: Path, choose: Choose, *, segment: Segment | None = None) -> DecodedFrames:
    """Read a video, or a segment of it, and return the pictures that `choose` asks for, as RGB, upright.

    Args:
        path: the file; or a folder of frames, see `read_frame_folder`.
        choose: gives the wanted indices (from 0, any order, repeats allowed, at least one) for a number of frames,
            those of the segment where there is one. It must depend on that number alone: it may be called again, with
            the true number, after the decoding.
        segment: the part of the video to choose from. It holds the pictures shown at any moment from its start,
            included, to its end, excluded, and always the one shown at its start, counted in seconds from the first
            picture; an end past the video's is cut to it. See `Timing.pictures_in` for what a picture's time is.

    Rotation and mirroring recorded in the file are applied, to the nearest quarter turn.

    Every packet of the file is read, so that a file cut short is seen wherever the cut is. Where all are decoded,
    damage is seen anywhere; where only groups of pictures are (see `decode_groups`), in these, as among the frames of
    a folder. Which of the two depends on the file and on what is asked for, not on whether it trains or tests.

    Raises:
        VideoError: the file is missing, empty, not a video, sound only, damaged, cut short, or holds fewer than
            2 pictures; or the segment starts at the video's end or later, or is of a folder of frames.
        ValueError: `choose` asked for no frame, or for one that is not there.
    """
    with explained_errors(path, "it cannot be opened"):
        is_folder = path.is_dir()
    return read_frame_folder(path, choose, segment=segment) if is_folder else _read_file(path, choose, segment)


def _read_file(path: Path, choose: Choose, segment: Segment | None) -> DecodedFrames:
    with opened_video(path) as (container, stream):
        survey = survey_packets(path, container, stream)
        expected = survey.timing.pictures_in(segment)
        chosen = choose(len(expected)) if expected else []
        indices = [expected.start + index for index in chosen]
        # A choice outside the segment may be inside the file.
        if set(indices) <= set(expected):
            frames = decode_groups(path, survey.notes, indices)
            if frames is not None:
                check_count(path, survey, survey.pictures)
                return DecodedFrames(frames, len(expected))
        first = _decode_packets(path, stream, survey.packets, indices) if survey.packets else _decode(path, indices)
    frames, timing = first
    check_count(path, survey, len(timing.stamps))
    timing.refuse_outside(path, segment)
    held = timing.pictures_in(segment)
    wanted = [held.start + index for index in checked_indices(choose, len(held))]
    if wanted != indices:
        frames, _ = _decode(path, wanted)
    return DecodedFrames(frames, len(held))


def decoder_identity() -> dict[str, str]:
    """Return the versions of PyAV and of the FFmpeg libraries, which decide what the pictures are."""
    names = ("libavcodec", "libavformat", "libavutil", "libswscale")
    libraries = {name: ".".join(map(str, av.library_versions[name])) for name in names}
    return {"pyav": av.__version__, **libraries}


def _decode(path: Path, indices: Sequence[int]) -> tuple[Picture, Timing]:
    """Open the file anew, and return what `_decode_packets` does."""
    with opened_video(path) as (container, stream), explained_errors(path, "it cannot be decoded"):
        return _decode_packets(path, stream, container.demux(stream), indices)


def _decode_packets(
    path: Path, stream: VideoStream, packets: Iterable["Packet[VideoStream]"], indices: Sequence[int]
) -> tuple[Picture, Timing]:
    """Return the pictures at `indices`, unfilled where the file has none, and the times of all pictures in the file."""
    wanted = WantedPictures(path, indices)
    stamps: list[Stamp] = []
    with explained_errors(path, "it cannot be decoded"):
        for index, frame in enumerate(decoded_pictures(stream, packets)):
            wanted.take(index, frame)
            stamps.append((frame.pts, frame.duration))
        timing = Timing(stamps, stream.time_base, stream.average_rate)
    return wanted.frames, timing


def decoded_pictures(
    stream: VideoStream, packets: Iterable["Packet[VideoStream]"]
) -> Generator[VideoFrame, None, None]:
    """Yield every picture of a stream, in the order of showing."""
    for packet in packets:
        if packet.size:  # an empty packet would end the decoding
            yield from stream.decode(packet)
    yield from stream.decode(None)


def check_count(path: Path, survey: Survey, count: int) -> None:
    """Refuse a file that gave fewer pictures than it promises, a few apart, or fewer than make a video.

    Raises:
        VideoError: it did.
    """
    promised = survey.pictures + survey.missing
    undecoded = survey.pictures - survey.blank - count if survey.counted else 0
    lost = survey.missing + max(0, undecoded)
    if lost > max(_SHORTFALL_PICTURES, _SHORTFALL_SHARE * promised):
        raise broken(path, f"it is damaged or cut short: it promises about {promised} pictures and gives {count}")
    if count < FEWEST_PICTURES:
        raise broken(path, f"it holds {count} picture{'s' * (count != 1)}")
