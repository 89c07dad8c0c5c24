"""Video file -> pictures, exact by picture number: decoded once in order with PyAV, every picture counted.

Seeking and header counts are not trusted: on AVI files with MPEG-4 B-frames both name the wrong pictures.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from jaxtyping import UInt8

from essential.protocols.protocol import Segment
from essential.video.container import Survey, broken, explained_errors, opened_video, survey_packets
from essential.video.frame_folder import read_frame_folder
from essential.video.segments import end_seconds, picture_times, pictures_in

Choose = Callable[[int], Sequence[int]]
Picture = np.ndarray[Any, np.dtype[np.uint8]]

_FEWEST_PICTURES = 2
# Encoders may leave out a picture or two (libxvid gives 198 of 200); more than this share is a loss.
_SHORTFALL_PICTURES = 2
_SHORTFALL_SHARE = 0.02


@dataclass(frozen=True, slots=True)
class DecodedFrames:
    """Pictures in the order asked for, and how many the whole video has, whatever the segment."""

    frames: UInt8[np.ndarray, "frames height width 3"]
    frame_count: int


def read_frames(path: Path, choose: Choose, segment: Segment | None = None) -> DecodedFrames:
    """Decode a video, or a segment of it, in order and return the pictures that `choose` asks for, as RGB, upright.

    Args:
        path: the file, or a folder of numbered images.
        choose: gives the wanted indices (from 0, any order, repeats allowed, at least one) for a number of frames.
            It must depend on that number alone: it is called again, with the true number, after the decoding.
        segment: the part to take; indices count from its first picture. See `pictures_in` for what is in it.

    Rotation and mirroring recorded in the file are applied, to the nearest quarter turn.

    Raises:
        VideoError: the file is missing, empty, not a video, sound only, damaged, cut short, or holds fewer than
            2 pictures; the segment starts when the video is over; a segment is asked for of a folder of images.
        ValueError: `choose` asked for no frame, or for one that the video does not have.
    """
    with explained_errors(path, "it cannot be opened"):
        is_folder = path.is_dir()
    if is_folder:
        if segment is not None:
            raise broken(
                path, "a segment in seconds is wanted, and a folder of images has no clock; use the video file"
            )
        return DecodedFrames(*read_frame_folder(path, choose))
    survey = survey_packets(path)
    expected = _part(segment, survey.starts, survey.rate)
    indices = [expected.start + index for index in choose(len(expected))] if expected else []
    frames, starts = _decode(path, indices)
    check_count(path, survey, len(starts))
    part = _part(segment, starts, survey.rate)
    if not part:
        raise broken(path, _too_late(segment, starts, survey.rate))
    wanted = [part.start + index for index in _checked(choose(len(part)), len(part))]
    if wanted != indices:
        frames, _ = _decode(path, wanted)
    return DecodedFrames(frames, len(starts))


def _part(segment: Segment | None, starts: Sequence[float | None], rate: float | None) -> range:
    """Return the numbers of the segment's pictures; all, without a segment."""
    if segment is None or not starts:
        return range(len(starts))
    times = picture_times(starts, rate)
    return pictures_in(segment, times, end_seconds(times, rate)) if times else range(0)


def _too_late(segment: Segment | None, starts: Sequence[float | None], rate: float | None) -> str:
    times = picture_times(starts, rate)
    if segment is None or not times:
        return f"the segment {segment} is wanted, and the file tells neither times nor a rate"
    return f"its segment starts at {segment.start_seconds:g} s, and it ends at {end_seconds(times, rate):.3f} s"


def decoder_identity() -> dict[str, str]:
    """Return the versions of PyAV and of the FFmpeg libraries, which decide what the pictures are."""
    names = ("libavcodec", "libavformat", "libavutil", "libswscale")
    libraries = {name: ".".join(map(str, av.library_versions[name])) for name in names}
    return {"pyav": av.__version__, **libraries}


def _decode(path: Path, indices: Sequence[int]) -> tuple[Picture, list[float | None]]:
    """Return the pictures at `indices`, unfilled where the file has none, and when each picture of the file starts."""
    places: dict[int, list[int]] = {}
    for place, index in enumerate(indices):
        places.setdefault(index, []).append(place)
    frames = np.empty((0, 0, 0, 3), np.uint8)
    starts: list[float | None] = []
    # One converter for all: preparing a new one for each picture takes a hundred times as long as using it.
    convert = VideoReformatter().reformat
    with opened_video(path) as (container, stream), explained_errors(path, "it cannot be decoded"):
        time_base = stream.time_base or Fraction(0)
        for frame in _decoded(container, stream):
            count = len(starts)
            if count in places:
                picture = _upright(np.asarray(convert(frame, format="rgb24", threads=1).to_ndarray(), np.uint8), frame)
                if not len(frames):
                    frames = np.empty((len(indices), *picture.shape), np.uint8)
                _check_shape(path, picture.shape, frames.shape[1:], count)
                frames[places[count]] = picture
            # Not frame.time: the last pictures, which the decoder gives up at the end, do not know their time base.
            starts.append(None if frame.pts is None else float(frame.pts * time_base))
    return frames, starts


def _decoded(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    for packet in container.demux(stream):
        if packet.size:  # an empty packet would end the decoding
            yield from stream.decode(packet)
    yield from stream.decode(None)


def _upright(picture: Picture, frame: VideoFrame) -> Picture:
    """Apply the frame's display matrix, to the nearest quarter turn.

    The matrix (a, b, _, c, d, ...) maps a pixel (x, y) to (a x + c y, b x + d y), y pointing down.
    """
    matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return picture
    a, b, _, c, d = (int(value) for value in np.frombuffer(matrix, np.int32)[:5])
    turned = abs(b) + abs(c) > abs(a) + abs(d)
    across, down = (c, b) if turned else (a, d)
    if turned:
        picture = picture.transpose(1, 0, 2)
    return picture[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1]


def _check_shape(path: Path, shape: tuple[int, ...], first: tuple[int, ...], index: int) -> None:
    if shape != first:
        sizes = f"{first[1]}x{first[0]} to {shape[1]}x{shape[0]}"
        raise broken(path, f"the size of its pictures changes from {sizes} after {index} pictures")


def check_count(path: Path, survey: Survey, count: int) -> None:
    promised = survey.pictures + survey.missing
    undecoded = survey.pictures - survey.blank - count if survey.counted else 0
    lost = survey.missing + max(0, undecoded)
    if lost > max(_SHORTFALL_PICTURES, _SHORTFALL_SHARE * promised):
        raise broken(path, f"it is damaged or cut short: it promises about {promised} pictures and gives {count}")
    if count < _FEWEST_PICTURES:
        raise broken(path, f"it holds {count} picture{'s' * (count != 1)}")


def _checked(indices: Sequence[int], count: int) -> list[int]:
    """Return the indices as a list.

    Raises:
        ValueError: there is none, or one is outside the video.
    """
    outside = [index for index in indices if not 0 <= index < count]
    if outside or not indices:
        raise ValueError(f"choose({count}) gave {list(indices)}; give one index or more, each from 0 to {count - 1}")
    return list(indices)
