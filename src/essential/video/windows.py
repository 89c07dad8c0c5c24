"""A long video as overlapping windows of time, each a clip: decoded once, in order, a few windows in memory.

A window's frames are those shown at the middles of T equal parts of its time. So windows share frames wherever these
middles fall together, as with a stride that is a half or a quarter of the window, whatever the rate of the frames is.
At a constant rate a frame is at most one beside that of a clip cut there, whose frames are counted and not timed, and
it is the same one where the window and the stride are whole numbers of frames.
"""

import math
from collections import deque
from collections.abc import Generator
from contextlib import closing
from fractions import Fraction
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int64
from torch import Tensor, stack

from essential.errors import ConfigError, VideoError
from essential.protocols.protocol import Segment
from essential.video.config import PixelFormat
from essential.video.container import opened_video, survey_file
from essential.video.decode import check_count, decoded_frames
from essential.video.frames import UprightRgb, broken, explained_errors
from essential.video.views import plain_view

# More than a day at a window a second. A file of a few bytes may say that it is years long.
MOST_WINDOWS = 100_000
# Borders of windows are whole milliseconds, so that no two of them differ by what rounding makes of a sum.
_PER_SECOND = 1000


class Window(NamedTuple):
    """Frames, by number, that make a clip, and the parts of the video that they are the clip of.

    Where a frame is shown for longer than a window, several windows hold the same frames.
    """

    segments: tuple[Segment, ...]
    frames: tuple[int, ...]


def count_windows(length_seconds: float, *, window_seconds: float, stride_seconds: float) -> int:
    """Return how many windows `cut_windows` makes; a ConfigError if they would leave gaps, or are not positive."""
    if not (0 < stride_seconds <= window_seconds < math.inf):
        raise ConfigError(
            f"windows of {window_seconds} s every {stride_seconds} s are not allowed; give a window above 0 and a "
            "stride from above 0 to the window's length"
        )
    rest = _whole(length_seconds) - Fraction(window_seconds)
    return 1 + max(0, math.ceil(rest / Fraction(stride_seconds)))


def cut_windows(length_seconds: float, *, window_seconds: float, stride_seconds: float) -> list[Segment]:
    """Return windows that cover a video of a length; the last one ends with it. A short video is one window.

    Where one window ends and another begins at the same moment, that is one number: sums of `float` differ in their
    last bit, so they are made of fractions and then rounded. A ConfigError as in `count_windows`.
    """
    count = count_windows(length_seconds, window_seconds=window_seconds, stride_seconds=stride_seconds)
    if count == 1:
        return [Segment(0.0, length_seconds)]
    window, stride, length = Fraction(window_seconds), Fraction(stride_seconds), _whole(length_seconds)
    starts = (min(place * stride, length - window) for place in range(count))
    # Strides below a millisecond give some windows twice.
    return list(dict.fromkeys(Segment(float(_whole(start)), float(_whole(start + window))) for start in starts))


class WindowedVideo:
    """A video file, cut into windows; its packets are read when it is made, its frames by `clips`.

    Args:
        frames: of a clip.
        stride_seconds: from the start of a window to that of the next.

    Raises:
        VideoError: the file cannot be read, or would be more than `MOST_WINDOWS`.
        ConfigError: see `count_windows`.
    """

    def __init__(self, path: Path, *, frames: int, window_seconds: float, stride_seconds: float) -> None:
        self.path = path
        self._survey = survey_file(path)
        check_count(path, self._survey, self._survey.frames)
        timing = self._survey.timing
        length = timing.end_seconds
        if not length:
            raise broken(path, "it says neither when its frames are shown nor how many a second")
        count = count_windows(length, window_seconds=window_seconds, stride_seconds=stride_seconds)
        if count > MOST_WINDOWS:
            raise VideoError(
                f"it is {length:,.0f} s long, which is {count:,} windows of {window_seconds} s every "
                f"{stride_seconds} s, and {MOST_WINDOWS:,} are allowed; give a longer stride, or cut the video",
                where=path,
            )
        segments = cut_windows(length, window_seconds=window_seconds, stride_seconds=stride_seconds)
        numbers = map(tuple, timing.shown_at(_middles(segments, parts=frames)).tolist())
        self.windows = [
            Window(tuple(segment for _, segment in same), numbers)
            for numbers, same in groupby(zip(numbers, segments, strict=True), key=itemgetter(0))
        ]

    def clips(
        self, numbers: Int64[np.ndarray, "clips read"], pixel_format: PixelFormat
    ) -> Generator[Float[Tensor, "read 3 size size"], None, None]:
        """Decode the file once, and yield each clip as soon as its last frame is there.

        A VideoError for a damaged file, or frames that change in size, may come after the clips before.

        Args:
            numbers: of each clip's frames, as of `windows`; from clip to clip neither the first nor the last falls.
        """
        # The first one too: there may be fewer frames than promised, and one must be there to stand in.
        wanted = {0, *numbers.ravel().tolist()}
        waiting = deque(numbers.tolist())
        seen: dict[int, Tensor] = {}
        upright = UprightRgb(self.path)
        count = 0
        with (
            opened_video(self.path) as (container, stream),
            explained_errors(self.path, "it cannot be decoded"),
            closing(decoded_frames(stream, container.demux(stream))) as frames,
        ):
            for frame in frames:
                upright.look(frame, index=count)
                if count in wanted:
                    seen[count] = plain_view(upright.pixels(frame, index=count)[None], pixel_format)[0]
                count += 1
                while waiting and waiting[0][-1] < count:
                    yield _clip(waiting.popleft(), seen)
                    first, last = waiting[0][0] if waiting else math.inf, max(seen)
                    seen = {number: clip for number, clip in seen.items() if number >= first or number == last}
        check_count(self.path, self._survey, count)
        while waiting:
            # A frame or two may be promised and not be there: the last one stands in, as a player would show it.
            yield _clip(waiting.popleft(), seen)


def _whole(seconds: float | Fraction) -> Fraction:
    return Fraction(round(Fraction(seconds) * _PER_SECOND), _PER_SECOND)


def _middles(segments: list[Segment], *, parts: int) -> Float64[np.ndarray, "segments parts"]:
    """Return the moments in the middle of equal parts of each segment, to the nanosecond: equal where they are one."""
    starts, ends = np.array(segments).T[..., None]
    middles: Float64[np.ndarray, "segments parts"] = np.round(
        starts + (ends - starts) * (2 * np.arange(parts) + 1) / (2 * parts), 9
    )
    return middles


def _clip(numbers: list[int], seen: dict[int, Tensor]) -> Tensor:
    last = max(seen)
    return stack([seen.get(number, seen[last]) for number in numbers])
