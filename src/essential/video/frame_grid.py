"""Which frames of a live source are needed: the first at or after each moment of a grid, in the middle of equal parts.

The parts begin with the first frame, as those of the windows of a file do: where the moments fall on frames, which are
the same ones. A frame that comes after several moments stands for all of them, as no other came.
"""

import math

# What rounding moves a time by: Matroska keeps milliseconds.
_NEARNESS_SECONDS = 0.001


class FrameGrid:
    """Counts the moments of a grid as frames come.

    Args:
        every_seconds: from moment to moment, above 0.
    """

    def __init__(self, every_seconds: float) -> None:
        self._every = every_seconds
        self._first: float | None = None
        self._passed = 0

    def needs(self, seconds: float) -> bool:
        """Return whether a frame of that time is needed: the first one is not, but the grid begins with it."""
        return self._first is not None and self._passed_at(seconds, self._first) > self._passed

    def pass_moments(self, seconds: float) -> int:
        """Take a frame of that time, which is not before the last one's, and return for how many moments it stands."""
        if self._first is None:
            self._first = seconds
        passed = self._passed_at(seconds, self._first)
        new, self._passed = passed - self._passed, passed
        return new

    def _passed_at(self, seconds: float, first: float) -> int:
        return math.floor((seconds + _NEARNESS_SECONDS - first) / self._every + 0.5)
