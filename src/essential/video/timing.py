"""When the pictures of a video file are shown, and which of them a segment holds."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from essential.errors import VideoError
from essential.protocols.protocol import Segment

# Of the shortest picture: more than rounding moves a time by (1/3 s is no float, Matroska keeps milliseconds), and too
# little to reach from one picture's time to another's.
_TOLERANCE = 0.1

# Presentation time and duration in the stream's time base; None where the file does not say it.
Stamp = tuple[int | None, int | None]


@dataclass(frozen=True)
class Timing:
    """What a file says of when its pictures are shown.

    Attributes:
        stamps: one for each picture shown, in any order.
        time_base: seconds per unit of the stamps.
        rate: pictures per second on average; None if the file does not say it.
    """

    stamps: Sequence[Stamp]
    time_base: Fraction | None
    rate: Fraction | None

    @cached_property
    def starts(self) -> Sequence[float]:
        """When each picture is first shown, in order, in seconds from the first; nothing if the file does not say it.

        Where a picture has no time of its own, the time of each is its place divided by the average rate.
        """
        if self._has_times and self.time_base:
            times = sorted(time for time, _ in self.stamps if time is not None)
            return [float((time - times[0]) * self.time_base) for time in times]
        return [float(place / self.rate) for place in range(len(self.stamps))] if self.rate else []

    @cached_property
    def end_seconds(self) -> float:
        """When the last picture is over, in seconds from the first; 0 where the file does not say it."""
        if not self.starts:
            return 0.0
        last_units = 0
        if self._has_times:
            last_units = max((time or 0, duration or 0) for time, duration in self.stamps)[1]
        # Some files say that the last picture lasts no time at all.
        return self.starts[-1] + max(float(last_units) * float(self.time_base or 0), self._shortest_seconds)

    def pictures_in(self, segment: Segment | None) -> range:
        """Return the places, in order of showing, of the pictures that a segment holds; of all where there is none.

        A picture's time is its presentation time less that of the first picture shown; see `starts`. A picture is shown
        from its time to the next one's. The segment holds the pictures shown at any moment from its start, included, to
        its end, excluded, and always the one at its start; an end past the video's is cut to it.

        It is empty if the segment is outside the video, which `refuse_outside` explains.
        """
        if segment is None:
            return range(len(self.stamps))
        start, end = segment
        tolerance = _TOLERANCE * self._shortest_seconds
        # Written so that NaN is outside.
        if not 0 <= start <= end or start >= self.end_seconds - tolerance:
            return range(0)
        first = bisect_right(self.starts, start + tolerance) - 1
        return range(first, max(first + 1, bisect_left(self.starts, end - tolerance)))

    def refuse_outside(self, path: Path, segment: Segment | None) -> None:
        """Raise if a segment is none, or starts where the video is over.

        Raises:
            VideoError: the message names the segment and the video's length.
        """
        if segment is None or self.pictures_in(segment):
            return
        start, end = segment
        if not 0 <= start <= end:
            reason = f"it starts at {start} s and ends at {end} s; expected a start from 0 on, and an end not before it"
        elif not self._has_times and not self.rate:
            reason = "the file says neither when its pictures are shown nor how many a second; expected one of the two"
        else:
            length = self.end_seconds
            reason = f"it starts at {start} s, the video ends at {length:.3f} s; expected a start before that"
        raise VideoError(
            f"cannot read segment {start}-{end} s of video {path}: {reason}; correct the segment, replace the file, or "
            "leave the segment out"
        )

    @cached_property
    def _shortest_seconds(self) -> float:
        return min((after - before for before, after in pairwise(self.starts) if after > before), default=0.0)

    @property
    def _has_times(self) -> bool:
        return bool(self.time_base and self.stamps) and all(time is not None for time, _ in self.stamps)
