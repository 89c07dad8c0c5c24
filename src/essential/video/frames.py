"""What all readers of videos share: frames as pixels, and the errors for a video that cannot be read."""

import errno
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.sidedata.sidedata import SideDataContainer
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from jaxtyping import UInt8

from essential.errors import DataError, VideoError

Choose = Callable[[int], Sequence[int]]
Pixels = np.ndarray[Any, np.dtype[np.uint8]]

FEWEST_FRAMES = 2
# What PyAV and Pillow were seen to raise on damaged files: MemoryError for enormous frames, LookupError for surprise
# streams.
LIBRARY_ERRORS = (OSError, EOFError, ValueError, RuntimeError, ArithmeticError, LookupError, MemoryError)
_NO_HANDLES = frozenset({errno.EMFILE, errno.ENFILE})
# FFmpeg also says so of damaged files, which can be read.
_BAD_DISK = frozenset({errno.EIO, errno.ESTALE})
_REMEDY = "expected a complete video (MP4, AVI, MKV, WebM, ...) of 2 frames or more; replace the file or leave it out"


@dataclass(frozen=True, slots=True)
class DecodedFrames:
    """Frames in the order asked for, and how many the video, or its segment, has to choose from."""

    frames: UInt8[np.ndarray, "frames height width 3"]
    frame_count: int


def checked_indices(choose: Choose, count: int) -> list[int]:
    """Return the indices that `choose` gives for `count` frames; a ValueError if none, or not of these."""
    indices = list(choose(count))
    if not indices or not all(0 <= index < count for index in indices):
        raise ValueError(f"choose({count}) gave {indices}; give one index or more, each from 0 to {count - 1}")
    return indices


def broken(path: Path, problem: str) -> VideoError:
    """Return the error for a file that cannot be used, ready to be raised."""
    return VideoError(problem, where=path, remedy=_REMEDY)


@contextmanager
def explained_errors(path: Path, problem: str) -> Iterator[None]:
    """Turn what PyAV raises inside into a `VideoError` with PyAV's reason, or see `refuse_machines_fault`."""
    try:
        yield
    except av.InvalidDataError as error:  # FFmpeg says no more than that
        raise broken(path, problem) from error
    except (av.FFmpegError, *LIBRARY_ERRORS) as error:
        refuse_machines_fault(path, error)
        cause = error.strerror if isinstance(error, av.FFmpegError | OSError) else None
        raise broken(path, f"{problem} ({cause or error or type(error).__name__})") from error


def refuse_machines_fault(path: Path, error: BaseException) -> None:
    """Raise a DataError if a video could not be read for want of open files or a healthy disk: it may be whole.

    Want of memory is not among these: damaged files that ask for enormous frames cause it too.
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


class UprightRgb:
    """Turns decoded frames of one file into pixels: RGB, all turned upright as the first frame says.

    One converter for all: preparing a new one for each frame takes a hundred times as long as using it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._convert = VideoReformatter().reformat
        self._matrix: bytes | None = None
        self._shape: tuple[int, ...] = ()

    def look(self, frame: VideoFrame, *, index: int) -> None:
        """Note how the first frame is to be turned; a VideoError if frame `index` is to be turned in another way.

        To say nothing is no other way, as some files say it once.
        """
        # Not `frame.side_data`: it and the frame hold each other, and the decoder waits for its memory.
        side: Any = SideDataContainer(frame).get("DISPLAYMATRIX")  # type: ignore[call-arg]
        if self._matrix is None:
            self._matrix = b"" if side is None else bytes(side)
        elif side is not None and bytes(side) != self._matrix:
            raise broken(self._path, f"the orientation of its frames changes after {index} frames")

    def pixels(self, frame: VideoFrame, *, index: int) -> Pixels:
        """Return a frame's pixels, in memory that may be shared; a VideoError if its size is not the first one's."""
        pixels = _pixels(self._convert(frame, format="rgb24", threads=1))
        pixels = _upright(pixels, self._matrix) if self._matrix else pixels
        self._shape = self._shape or pixels.shape
        if pixels.shape != self._shape:
            (height, width, _), (new_height, new_width, _) = self._shape, pixels.shape
            sizes = f"{width}x{height} to {new_width}x{new_height}"
            raise broken(self._path, f"the size of its frames changes from {sizes} after {index} frames")
        return pixels


class WantedFrames:
    """Takes each wanted frame as it is decoded, into `frames` in the order asked for; where none came, unfilled."""

    def __init__(self, path: Path, indices: Sequence[int]) -> None:
        self.frames: Pixels = np.empty((0, 0, 0, 3), np.uint8)
        self._count = len(indices)
        self._places: dict[int, list[int]] = {}
        for place, index in enumerate(indices):
            self._places.setdefault(index, []).append(place)
        self._awaited = set(self._places)
        self._upright = UprightRgb(path)

    @property
    def is_complete(self) -> bool:
        """Whether every frame asked for was taken."""
        return not self._awaited

    def includes(self, index: int) -> bool:
        """Return whether the frame of that number was asked for."""
        return index in self._places

    def take(self, index: int, frame: VideoFrame) -> None:
        """Keep the frame if it was asked for; a VideoError if its size or orientation is not the first one's."""
        self._upright.look(frame, index=index)
        if index not in self._places:
            return
        pixels = self._upright.pixels(frame, index=index)
        if not len(self.frames):
            self.frames = np.empty((self._count, *pixels.shape), np.uint8)
        self.frames[self._places[index]] = pixels
        self._awaited.discard(index)


def _pixels(frame: VideoFrame) -> Pixels:
    """Return a view of an RGB frame's pixels; its rows may be padded."""
    plane: Any = frame.planes[0]
    rows: Pixels = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    return rows[: frame.height, : 3 * frame.width].reshape(frame.height, frame.width, 3)


def _upright(pixels: Pixels, matrix: bytes) -> Pixels:
    """Apply a display matrix, to the nearest quarter turn.

    The matrix (a, b, _, c, d, ...) maps a pixel (x, y) to (a x + c y, b x + d y), y pointing down.
    """
    a, b, _, c, d = (int(value) for value in np.frombuffer(matrix, np.int32)[:5])
    turned = abs(b) + abs(c) > abs(a) + abs(d)
    across, down = (c, b) if turned else (a, d)
    if turned:
        pixels = pixels.transpose(1, 0, 2)
    return pixels[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1]
