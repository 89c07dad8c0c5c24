"""What all readers of videos share: the frames they give, and the errors for a video that cannot be read."""

import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from essential.errors import DataError

Choose = Callable[[int], Sequence[int]]
Pixels = np.ndarray[Any, np.dtype[np.uint8]]

FEWEST_FRAMES = 2
# What PyAV and Pillow were seen to raise on damaged files: MemoryError for enormous frames, LookupError for surprise
# streams.
LIBRARY_ERRORS = (OSError, EOFError, ValueError, RuntimeError, ArithmeticError, LookupError, MemoryError)
_NO_HANDLES = frozenset({errno.EMFILE, errno.ENFILE})
# FFmpeg also says so of damaged files, which can be read.
_BAD_DISK = frozenset({errno.EIO, errno.ESTALE})


@dataclass(frozen=True, slots=True)
class DecodedFrames:
    """Frames in the order asked for, and how many the video, or its segment, has to choose from."""

    frames: UInt8[np.ndarray, "frames height width 3"]
    frame_count: int


def checked_indices(choose: Choose, count: int) -> list[int]:
    """Return the indices that `choose` gives for `count` frames, as a list.

    Raises:
        ValueError: there is none, or one is outside the video.
    """
    indices = list(choose(count))
    if not indices or not all(0 <= index < count for index in indices):
        raise ValueError(f"choose({count}) gave {indices}; give one index or more, each from 0 to {count - 1}")
    return indices


def refuse_machines_fault(path: Path, error: BaseException) -> None:
    """Raise if a video could not be read for want of open files or a healthy disk: it may well be whole.

    Want of memory is not among these: damaged files that ask for enormous frames cause it too.

    Raises:
        DataError: that is so.
    """
    if not isinstance(error, OSError):
        return
    if error.errno in _NO_HANDLES or (error.errno in _BAD_DISK and not _can_be_read(path)):
        raise DataError(
            f"it could not be read for a reason that is not the file's: {error.strerror}. What was finished is kept",
            where=path,
            remedy="raise the limit of open files, or check the disk, and run again",
        ) from error


def _can_be_read(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            while file.read(1 << 20):
                pass
    except OSError:
        return False
    return True
