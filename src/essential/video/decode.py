"""Video file -> pictures, exact by picture number: decoded once in order with PyAV, every picture counted.

Seeking and header counts are not trusted: on AVI files with MPEG-4 B-frames both name the wrong pictures.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from essential.protocols.protocol import Segment
from essential.video.container import Survey, broken, explained_errors, opened_video, survey_packets
from essential.video.frame_folder import read_frame_folder
from essential.video.pictures import FEWEST_PICTURES, Choose, DecodedFrames, Picture, checked_indices
from essential.video.timing import Stamp, Timing, pictures_in, refuse_outside

# Encoders may leave out a picture or two (libxvid gives 198 of 200); more than this share is a loss.
_SHORTFALL_PICTURES = 2
_SHORTFALL_SHARE = 0.02


def read_frames(path: Path, choose: Choose, *, segment: Segment | None = None) -> DecodedFrames:
    """Read a video, or a segment of it, and return the pictures that `choose` asks for, as RGB, upright.

    Args:
        path: the file, decoded in order to its end; or a folder of frames, see `read_frame_folder`.
        choose: gives the wanted indices (from 0, any order, repeats allowed, at least one) for a number of frames,
            those of the segment where there is one. It must depend on that number alone: it is called again, with the
            true number, after the decoding.
        segment: the part of the video to choose from. It holds the pictures shown at any moment from its start,
            included, to its end, excluded, and always the one shown at its start, counted in seconds from the first
            picture; an end past the video's is cut to it. See `pictures_in` for what a picture's time is.

    Rotation and mirroring recorded in the file are applied, to the nearest quarter turn.

    Raises:
        VideoError: the file is missing, empty, not a video, sound only, damaged, cut short, or holds fewer than
            2 pictures; or the segment starts at the video's end or later, or is of a folder of frames.
        ValueError: `choose` asked for no frame, or for one that is not there.
    """
    with explained_errors(path, "it cannot be opened"):
        is_folder = path.is_dir()
    return read_frame_folder(path, choose, segment=segment) if is_folder else _read_file(path, choose, segment)


def _read_file(path: Path, choose: Choose, segment: Segment | None) -> DecodedFrames:
    survey = survey_packets(path)
    expected = pictures_in(survey.timing, segment)
    indices = [expected.start + index for index in choose(len(expected))] if expected else []
    frames, timing = _decode(path, indices)
    check_count(path, survey, len(timing.stamps))
    refuse_outside(path, timing, segment)
    held = pictures_in(timing, segment)
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
    """Return the pictures at `indices`, unfilled where the file has none, and the times of all pictures in the file."""
    places: dict[int, list[int]] = {}
    for place, index in enumerate(indices):
        places.setdefault(index, []).append(place)
    frames = np.empty((0, 0, 0, 3), np.uint8)
    stamps: list[Stamp] = []
    # One converter for all: preparing a new one for each picture takes a hundred times as long as using it.
    convert = VideoReformatter().reformat
    with opened_video(path) as (container, stream), explained_errors(path, "it cannot be decoded"):
        for frame in _decoded(container, stream):
            count = len(stamps)
            if count in places:
                picture = _upright(np.asarray(convert(frame, format="rgb24", threads=1).to_ndarray(), np.uint8), frame)
                if not len(frames):
                    frames = np.empty((len(indices), *picture.shape), np.uint8)
                _check_shape(path, picture.shape, frames.shape[1:], count)
                frames[places[count]] = picture
            stamps.append((frame.pts, frame.duration))
        timing = Timing(stamps, stream.time_base, stream.average_rate)
    return frames, timing


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
    if count < FEWEST_PICTURES:
        raise broken(path, f"it holds {count} picture{'s' * (count != 1)}")
