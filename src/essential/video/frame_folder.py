"""A folder of numbered images, the frames of one video -> pixels, read with Pillow, not FFmpeg; and video identity."""

import os
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from essential.errors import VideoError
from essential.files.atomic import sha256_of_file, sha256_of_json
from essential.protocols.protocol import Segment
from essential.protocols.video_walk import frame_number
from essential.video.frames import (
    FEWEST_FRAMES,
    LIBRARY_ERRORS,
    Choose,
    DecodedFrames,
    Pixels,
    checked_indices,
    refuse_machines_fault,
)

# What Pillow beside that was seen, or is documented, to raise on damaged images.
_PILLOW_ERRORS = (SyntaxError, TypeError, struct.error, zlib.error, Image.DecompressionBombError)
FORMATS = ("JPEG", "PNG")
_GAPS_NAMED_AT_MOST = 5
_IDENTITIES_KEPT = 16
_REMEDY = (
    "expected a folder of 2 frames or more such as img_00001.jpg, numbered without a gap, all of one size; extract the "
    "frames again or leave the folder out"
)


class FrameFile(NamedTuple):
    """An image of a folder, by the number in its name."""

    number: int
    name: str
    size_bytes: int


class VideoIdentity(NamedTuple):
    """Size and hash of a video's content; of a folder, those of the names and content of its frames."""

    size_bytes: int
    sha256: str


def read_frame_folder(path: Path, choose: Choose, *, segment: Segment | None = None) -> DecodedFrames:
    """Return the frames that `choose` asks for, as RGB, as `read_frames` does. Only these are decoded, each once.

    The frames are the folder's images called `img_00001.jpg`, `frame000001.png`, `00001.jpg` or alike, in the order of
    their numbers, from any first number. Everything else in the folder, hidden files too, is passed over:
    `flow_x_00001.jpg` is no frame. A missing or repeated number and an image without a byte are damage wherever they
    are; other damage, and an image of another size, are found among the frames that are decoded.

    A rotation in an image's Exif data is not applied: the codes that such folders are made for do not apply it either,
    and programs that cut a video into frames turn the pixels themselves.

    Raises:
        VideoError: the folder is damaged, or holds fewer than 2 frames, or a segment is asked for: it says no times.
        DataError: see `refuse_machines_fault`.
    """
    if segment is not None:
        raise VideoError(
            f"segment {segment.start_seconds}-{segment.end_seconds} s cannot be read: a folder of frames does not say "
            "how many frames make a second; put the video file in its place, or leave the segment out",
            where=path,
        )
    names = [file.name for file in _complete(path)]
    indices = checked_indices(choose, len(names))
    images = {index: _frame_of(path, names[index]) for index in sorted(set(indices))}
    _check_sizes(path, {names[index]: pixels for index, pixels in images.items()})
    return DecodedFrames(np.stack([images[index] for index in indices]), len(names))


def image_size(path: Path, formats: tuple[str, ...]) -> tuple[int, int]:
    """Return the width and height that an image's header states; a VideoError if there is none."""
    with _explained(path, formats), warnings.catch_warnings():
        # Nothing is decoded: whoever asks decides whether it is too large.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(path, formats=formats) as image:
            return image.size


def read_image(path: Path, formats: tuple[str, ...] = FORMATS) -> Pixels:
    """Return an image of one of the formats as RGB, without Exif's rotation.

    Raises:
        VideoError: it is another format, or damaged.
        DataError: see `refuse_machines_fault`.
    """
    # Other formats would bring other programs in: Pillow gives PostScript, whatever its name, to Ghostscript.
    with _explained(path, formats), Image.open(path, formats=formats) as image:
        if image.mode == "F" or image.mode.startswith("I"):
            raise ValueError(f"its pixels are of kind {image.mode}, not of 8 bits")
        # Palettes first to RGBA: Pillow warns if one with transparency goes to RGB at once.
        plain = image.convert("RGBA") if image.mode == "P" else image
        return np.asarray(plain.convert("RGB"), np.uint8)


def numbered_images(path: Path) -> list[FrameFile]:
    """Return the images that are a folder's frames, in order, damaged or not; OSError if it cannot be listed."""
    with os.scandir(path) as entries:
        found = [
            FrameFile(number, entry.name, entry.stat().st_size)
            for entry in entries
            if (number := frame_number(entry.name)) is not None and entry.is_file()
        ]
    return sorted(found)


def size_of(path: Path) -> int:
    """Return the bytes of a video file, or of all frames of a folder; OSError where it cannot be asked."""
    return sum(file.size_bytes for file in numbered_images(path)) if path.is_dir() else path.stat().st_size


def identity_of(path: Path) -> VideoIdentity:
    """Return a video's size and hash; every byte of it is read, or an OSError says why not."""
    if path.is_dir():
        files = numbered_images(path)
        sha256 = sha256_of_json([[file.name, sha256_of_file(path / file.name)] for file in files])
        return VideoIdentity(sum(file.size_bytes for file in files), sha256)
    if not path.is_file() and path.exists():
        raise OSError("it is not a file")
    return VideoIdentity(path.stat().st_size, sha256_of_file(path))


def identity_of_whole(path: Path) -> VideoIdentity:
    """Return what `identity_of` does, of a file of which segments are read one after the other: it is hashed once."""
    status = path.stat()
    return _kept_identity(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=_IDENTITIES_KEPT)
def _kept_identity(path: Path, _size: int, _mtime_ns: int) -> VideoIdentity:
    return identity_of(path)


def _complete(path: Path) -> list[FrameFile]:
    """Return the frames, known to be 2 or more without a gap."""
    try:
        files = numbered_images(path)
    except OSError as error:
        refuse_machines_fault(path, error)
        raise _broken(path, f"it cannot be listed ({error.strerror})") from error
    if len(files) < FEWEST_FRAMES:
        raise _broken(path, f"it holds {len(files)} frame{'s' * (len(files) != 1)}")
    gaps = []
    for before, after in pairwise(files):
        if before.number == after.number:
            raise _broken(path, f"{before.name} and {after.name} have the same number")
        if after.number - before.number > 1:
            gaps.append(f"{before.number + 1}" + f" to {after.number - 1}" * (after.number - before.number > 2))
    if gaps:
        named = ", ".join(gaps[:_GAPS_NAMED_AT_MOST]) + ", ..." * (len(gaps) > _GAPS_NAMED_AT_MOST)
        raise _broken(path, f"between {files[0].name} and {files[-1].name} it lacks the numbers {named}")
    for file in files:
        if not file.size_bytes:
            raise _broken(path, f"{file.name} is empty (0 bytes)")
    return files


def _frame_of(path: Path, name: str) -> Pixels:
    try:
        return read_image(path / name)
    except VideoError as error:
        raise _broken(path, f"{name} {error.problem.removeprefix('it ')}") from error


@contextmanager
def _explained(path: Path, formats: tuple[str, ...]) -> Iterator[None]:
    try:
        yield
    except (*LIBRARY_ERRORS, *_PILLOW_ERRORS) as error:
        refuse_machines_fault(path, error)
        raise VideoError(f"it cannot be decoded ({_cause(error, formats)})", where=path) from error


def _cause(error: BaseException, formats: tuple[str, ...]) -> str:
    if isinstance(error, UnidentifiedImageError):  # its text holds the whole path
        return f"it is neither {' nor '.join(formats)}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _check_sizes(path: Path, images: dict[str, Pixels]) -> None:
    (first, (height, width, _)), *others = ((name, pixels.shape) for name, pixels in images.items())
    for name, shape in others:
        if shape[:2] != (height, width):
            raise _broken(path, f"{first} is {width}x{height} pixels, {name} is {shape[1]}x{shape[0]}")


def _broken(path: Path, problem: str) -> VideoError:
    return VideoError(problem, where=path, remedy=_REMEDY)
