"""Which pictures of a video a segment in seconds holds."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise

from essential.protocols.protocol import Segment

# Matroska's clock ticks in milliseconds, so that a picture at 1/30 s says 0.033. Nothing finer can be told apart, and
# no video has a picture every two milliseconds.
_TICK_SECONDS = 0.001


def picture_times(starts: Sequence[float | None], rate: float | None) -> list[float] | None:
    """Return each picture's time in seconds, the first shown at 0; None if the file tells neither times nor a rate.

    Args:
        starts: the file's own presentation times, in the order in which the pictures are shown.
        rate: pictures per second. It serves where a time is missing or not after the one before, as in some AVI files.
    """
    # The decoder gives pictures in their right order, but out of some AVI files with times that are not.
    known = sorted(start for start in starts if start is not None)
    if len(known) == len(starts) and all(a < b for a, b in pairwise(known)):
        return [start - known[0] for start in known]
    return [index / rate for index in range(len(starts))] if rate else None


def end_seconds(times: Sequence[float], rate: float | None) -> float:
    """Return when the last picture ceases to be shown: it is shown as long as the one before it, or 1 / rate."""
    last = times[-1] - times[-2] if len(times) > 1 else (1 / rate if rate else 0.0)
    return times[-1] + last


def pictures_in(segment: Segment, times: Sequence[float], end: float) -> range:
    """Return the numbers of the pictures of a segment.

    They are the picture shown at its start, and those that begin in it; its end is not in it. A segment has one
    picture at least (ActivityNet lists some from 0.0 to 0.0), and what it claims behind the end of the video is cut. It
    is empty only if it starts when the video is over.

    Args:
        segment: in seconds from the first picture.
        times: of every picture, ascending, from 0.
        end: of the video.
    """
    if segment.start_seconds >= end - _TICK_SECONDS and segment.start_seconds > 0:
        return range(0)
    first = max(0, bisect_right(times, segment.start_seconds + _TICK_SECONDS) - 1)
    return range(first, max(first + 1, bisect_left(times, segment.end_seconds - _TICK_SECONDS)))
