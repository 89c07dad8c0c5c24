"""A long video as overlapping windows of time, each a clip: decoded once, in order, a few windows in memory."""

import math
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, stack

from essential.errors import ConfigError
from essential.protocols.protocol import Segment
from essential.video.container import broken, explained_errors, opened_video, survey_file
from essential.video.decode import check_count, decoded_pictures
from essential.video.sampling import segment_indices
from essential.video.timing import pictures_in, video_seconds
from essential.video.transforms import PixelFormat, plain_view
from essential.video.wanted_pictures import UprightRgb


class Window(NamedTuple):
    """A part of a video and the pictures, by number, that make its clip."""

    segment: Segment
    pictures: tuple[int, ...]


def cut_windows(length_seconds: float, *, window_seconds: float, stride_seconds: float) -> list[Segment]:
    """Return windows that cover a video of a length; the last one ends with it. A short video is one window.

    Raises:
        ConfigError: a number is not positive, or the windows would leave gaps.
    """
    if not (0 < stride_seconds <= window_seconds < math.inf):
        raise ConfigError(
            f"windows of {window_seconds} s every {stride_seconds} s are not allowed; give a window above 0 and a "
            "stride from above 0 to the window's length"
        )
    if length_seconds <= window_seconds:
        return [Segment(0.0, length_seconds)]
    count = math.ceil((length_seconds - window_seconds) / stride_seconds - 1e-9) + 1
    starts = [min(place * stride_seconds, length_seconds - window_seconds) for place in range(count)]
    return [Segment(start, start + window_seconds) for start in starts]


class WindowedVideo:
    """A video file, cut into windows; its packets are read when it is made, its pictures by `clips`.

    Args:
        path: the file.
        frames: of a clip.
        window_seconds: the length of a window.
        stride_seconds: from the start of a window to that of the next.

    Raises:
        VideoError: the file cannot be read.
        ConfigError: see `cut_windows`.
    """

    def __init__(self, path: Path, *, frames: int, window_seconds: float, stride_seconds: float) -> None:
        self.path = path
        self._survey = survey_file(path)
        check_count(path, self._survey, self._survey.pictures)
        timing = self._survey.timing
        length = video_seconds(timing)
        if not length:
            raise broken(path, "it says neither when its pictures are shown nor how many a second")
        segments = cut_windows(length, window_seconds=window_seconds, stride_seconds=stride_seconds)
        held = [pictures_in(timing, segment) for segment in segments]
        self.windows = [
            Window(segment, tuple(part.start + place for place in segment_indices(len(part), frames, generator=None)))
            for segment, part in zip(segments, held, strict=True)
        ]

    def clips(
        self, pixel_format: PixelFormat
    ) -> Generator[tuple[Segment, Float[Tensor, "frames 3 size size"]], None, None]:
        """Decode the file once, and yield each window's clip as soon as its last picture is there.

        Raises:
            VideoError: the file is damaged or cut short; the windows before may have been given already.
        """
        wanted = {picture for window in self.windows for picture in window.pictures}
        waiting = list(reversed(self.windows))
        seen: dict[int, Tensor] = {}
        upright = UprightRgb()
        count = 0
        with (
            opened_video(self.path) as (container, stream),
            explained_errors(self.path, "it cannot be decoded"),
            closing(decoded_pictures(stream, container.demux(stream))) as pictures,
        ):
            for picture in pictures:
                if count in wanted:
                    seen[count] = plain_view(upright(picture)[None], pixel_format)[0]
                count += 1
                while waiting and waiting[-1].pictures[-1] < count:
                    yield _clip(waiting.pop(), seen)
                    _drop_old(seen, waiting)
        check_count(self.path, self._survey, count)
        while waiting:
            # A picture or two may be promised and not be there: the last one stands in, as a player would show it.
            yield _clip(waiting.pop(), seen)


def _clip(window: Window, seen: dict[int, Tensor]) -> tuple[Segment, Tensor]:
    last = max(seen)
    return window.segment, stack([seen.get(picture, seen[last]) for picture in window.pictures])


def _drop_old(seen: dict[int, Tensor], waiting: Sequence[Window]) -> None:
    first = min((window.pictures[0] for window in waiting[-1:]), default=math.inf)
    for picture in [picture for picture in seen if picture < first]:
        if len(seen) > 1:
            del seen[picture]
