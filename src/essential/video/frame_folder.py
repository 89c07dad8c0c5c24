"""A folder of numbered images as a video: `img_00001.jpg`, `frame000001.png`, `00001.jpg`, in order of their numbers.

Hidden files and files that are no images are passed over. A gap in the numbers is damage, as a lost picture is in a
file; where the numbers start does not matter.
"""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from essential.errors import VideoError
from essential.protocols.video_walk import frame_number

Picture = np.ndarray[Any, np.dtype[np.uint8]]

# By name: for some formats Pillow would start other programs.
_FORMATS = ("JPEG", "PNG")
# Deeper greys Pillow cuts off where it should scale them.
_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"})
# What Pillow may raise on damaged images; an enormous size is an error of its own.
_LIBRARY_ERRORS = (
    *(OSError, EOFError, ValueError, SyntaxError, RuntimeError, ArithmeticError, LookupError, TypeError, MemoryError),
    Image.DecompressionBombError,
)
_FEWEST_IMAGES = 2
_NAMED_AT_MOST = 5


def frame_files(folder: Path) -> list[Path]:
    """Return the images of a folder, in the order of their numbers.

    Raises:
        VideoError: there are fewer than 2, one number is missing in between, or two images have one number.
    """
    try:
        found = [(frame_number(path.name), path) for path in folder.iterdir()]
    except OSError as error:
        raise _broken(folder, f"it cannot be read ({error.strerror})") from error
    files: dict[int, Path] = {}
    for number, path in sorted((number, path) for number, path in found if number is not None):
        if number in files:
            raise _broken(folder, f"{files[number].name} and {path.name} have the same number {number}")
        files[number] = path
    if len(files) < _FEWEST_IMAGES:
        raise _broken(folder, f"it holds {len(files)} numbered image{'s' * (len(files) != 1)}")
    missing = [number for number in range(min(files), max(files)) if number not in files]
    if missing:
        named = ", ".join(map(str, missing[:_NAMED_AT_MOST])) + (", ..." if len(missing) > _NAMED_AT_MOST else "")
        raise _broken(folder, f"{len(missing)} of its numbers from {min(files)} to {max(files)} are missing: {named}")
    return list(files.values())


def read_frame_folder(folder: Path, choose: Callable[[int], Sequence[int]]) -> tuple[Picture, int]:
    """Return the images that `choose` asks for, (frames, height, width, 3), and how many there are.

    Each image is decoded once, whatever is asked for, and only those that are asked for. EXIF orientation is not
    applied: frames that a program has extracted carry none.

    Raises:
        VideoError: see `frame_files`; an image cannot be read, or has another size than the first one asked for.
        ValueError: `choose` asked for none, or for one that is not there.
    """
    files = frame_files(folder)
    indices = list(choose(len(files)))
    if not indices or not 0 <= min(indices) <= max(indices) < len(files):
        raise ValueError(f"choose({len(files)}) gave {indices}; give one index or more, from 0 to {len(files) - 1}")
    pictures = {index: _read(folder, files[index]) for index in dict.fromkeys(indices)}
    first = pictures[indices[0]].shape
    for index, picture in pictures.items():
        if picture.shape != first:
            sizes = f"{picture.shape[1]}x{picture.shape[0]}, {files[indices[0]].name} {first[1]}x{first[0]}"
            raise _broken(folder, f"its images differ in size: {files[index].name} is {sizes}")
    return np.stack([pictures[index] for index in indices]), len(files)


def _read(folder: Path, path: Path) -> Picture:
    try:
        # Pillow warns of odd metadata, which are not used, and of large images, which are allowed.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=_FORMATS) as image:
                if image.mode not in _MODES:
                    raise _broken(folder, f"{path.name} has pixels of the kind {image.mode}; 8 bits a channel are read")
                return np.asarray(image.convert("RGB"), np.uint8)
    except _LIBRARY_ERRORS as error:
        raise _broken(folder, f"{path.name} cannot be read ({error or type(error).__name__})") from error


def _broken(folder: Path, reason: str) -> VideoError:
    return VideoError(
        f"cannot read video {folder}: {reason}; expected images numbered without a gap, 2 or more; mend the folder or "
        "leave it out"
    )
