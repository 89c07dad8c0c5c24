"""A folder of numbered images, the frames of one video -> pictures. Read with Pillow; FFmpeg sees none of it."""

import os
import struct
import zlib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from essential.errors import VideoError
from essential.protocols.protocol import Segment
from essential.protocols.video_walk import frame_number
from essential.video.frames import FEWEST_PICTURES, Choose, DecodedFrames, Picture, checked_indices
from essential.video.machine import LIBRARY_ERRORS, refuse_machines_fault

# What Pillow beside that was seen, or is documented, to raise on damaged images.
_PILLOW_ERRORS = (SyntaxError, TypeError, struct.error, zlib.error, Image.DecompressionBombError)
_GAPS_NAMED_AT_MOST = 5


class FrameFile(NamedTuple):
    """An image of a folder, by the number in its name."""

    number: int
    name: str
    size_bytes: int


def read_frame_folder(path: Path, choose: Choose, *, segment: Segment | None = None) -> DecodedFrames:
    """Return the frames that `choose` asks for, as RGB. Only these are decoded, each once.

    The frames are the folder's images called `img_00001.jpg`, `frame000001.png`, `00001.jpg` or alike, in the order of
    their numbers, whatever number comes first. Everything else in the folder, hidden files too, is passed over:
    `flow_x_00001.jpg` is no frame. A missing number, a number that two images have, and an image without a byte are
    damage wherever they are; other damage, and an image of another size, are found among the frames that are decoded.

    A rotation that an image's Exif data asks for is not applied: the codes that such folders are made for do not apply
    it either, and programs that cut a video into frames turn the pixels themselves.

    Args:
        choose: as for `read_frames`.
        segment: refused, as a folder does not say how many frames make a second.

    Raises:
        VideoError: the folder is damaged, or holds fewer than 2 frames, or a segment is asked for.
        DataError: see `refuse_machines_fault`.
        ValueError: `choose` asked for no frame, or for one that is not there.
    """
    if segment is not None:
        raise VideoError(
            f"cannot read segment {segment.start_seconds}-{segment.end_seconds} s of the folder of frames {path}: it "
            "does not say how many frames make a second; put the video file in its place, or leave the segment out"
        )
    names = [file.name for file in _complete(path)]
    indices = checked_indices(choose, len(names))
    pictures = {index: _read_image(path, names[index]) for index in sorted(set(indices))}
    _check_sizes(path, {names[index]: picture for index, picture in pictures.items()})
    return DecodedFrames(np.stack([pictures[index] for index in indices]), len(names))


def numbered_images(path: Path) -> list[FrameFile]:
    """Return the images that are a folder's frames, in order, damaged or not.

    Raises:
        OSError: the folder cannot be listed.
    """
    with os.scandir(path) as entries:
        found = [
            FrameFile(number, entry.name, entry.stat().st_size)
            for entry in entries
            if (number := frame_number(entry.name)) is not None and entry.is_file()
        ]
    return sorted(found)


def _complete(path: Path) -> Sequence[FrameFile]:
    """Return the frames, known to be 2 or more without a gap."""
    try:
        files = numbered_images(path)
    except OSError as error:
        refuse_machines_fault(path, error)
        raise _broken(path, f"it cannot be listed ({error.strerror})") from error
    if len(files) < FEWEST_PICTURES:
        raise _broken(path, f"it holds {len(files)} frame{'s' * (len(files) != 1)}")
    for before, after in pairwise(files):
        if before.number == after.number:
            raise _broken(path, f"{before.name} and {after.name} have the same number")
    gaps = [
        f"{before.number + 1}" + (f" to {after.number - 1}" if after.number - before.number > 2 else "")
        for before, after in pairwise(files)
        if after.number - before.number > 1
    ]
    if gaps:
        named = ", ".join(gaps[:_GAPS_NAMED_AT_MOST]) + ", ..." * (len(gaps) > _GAPS_NAMED_AT_MOST)
        raise _broken(path, f"between {files[0].name} and {files[-1].name} it lacks the numbers {named}")
    for file in files:
        if not file.size_bytes:
            raise _broken(path, f"{file.name} is empty (0 bytes)")
    return files


def _read_image(path: Path, name: str) -> Picture:
    try:
        # Other formats would bring other programs in: Pillow gives PostScript, whatever its name, to Ghostscript.
        with Image.open(path / name, formats=("JPEG", "PNG")) as image:
            if image.mode == "F" or image.mode.startswith("I"):
                raise ValueError(f"its pixels are of kind {image.mode}, not of 8 bits")
            # Palettes first to RGBA: Pillow warns if one with transparency goes to RGB at once.
            plain = image.convert("RGBA") if image.mode == "P" else image
            return np.asarray(plain.convert("RGB"), np.uint8)
    except (*LIBRARY_ERRORS, *_PILLOW_ERRORS) as error:
        refuse_machines_fault(path / name, error)
        raise _broken(path, f"{name} cannot be decoded ({_cause(error)})") from error


def _cause(error: BaseException) -> str:
    if isinstance(error, UnidentifiedImageError):  # its own words hold the whole path
        return "it is neither JPEG nor PNG"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _check_sizes(path: Path, pictures: dict[str, Picture]) -> None:
    (first, (height, width, _)), *others = ((name, picture.shape) for name, picture in pictures.items())
    for name, shape in others:
        if shape[:2] != (height, width):
            raise _broken(path, f"{first} is {width}x{height} pixels, {name} is {shape[1]}x{shape[0]}")


def _broken(path: Path, reason: str) -> VideoError:
    return VideoError(
        f"cannot read the folder of frames {path}: {reason}; expected 2 images or more such as img_00001.jpg, numbered "
        "without a gap, all of one size; extract the frames again or leave the folder out"
    )
