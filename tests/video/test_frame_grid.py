"""Of the frames that come, the first at or after each moment is needed; one stands for all that it comes after."""

from bisect import bisect_left
from fractions import Fraction

import numpy as np
import pytest

from essential.video.frame_grid import FrameGrid


def _needed(times: list[float], every: float) -> list[int]:
    grid = FrameGrid(every)
    needed = []
    for number, seconds in enumerate(times):
        foreseen = grid.needs(seconds)
        moments = grid.pass_moments(seconds)
        assert foreseen == (moments > 0)
        needed += [number] * moments
    return needed


@pytest.mark.parametrize("rate", [10, 24, 25, Fraction(30000, 1001), 30, 60])
@pytest.mark.parametrize("every", [0.05, 0.14, 0.25, 0.31, 1.0])
@pytest.mark.parametrize("start", [0.0, 1.7e9])
@pytest.mark.parametrize("per_second", [None, 1000])
def test_each_moment_has_the_first_frame_at_or_after_it(
    rate: Fraction, every: float, start: float, per_second: int | None
) -> None:
    exact = [number / Fraction(rate) for number in range(int(20 * rate))]
    times = [Fraction(round(time * per_second), per_second) if per_second else time for time in exact]
    found = _needed([start + float(time) for time in times], every)
    moments = [(Fraction(2 * place + 1, 2)) * Fraction(every) for place in range(len(found))]
    # As exact as milliseconds are.
    expected = [bisect_left(times, moment - Fraction(1001, 10**6)) for moment in moments]
    nearly = [bisect_left(times, moment - Fraction(999, 10**6)) for moment in moments]
    assert all(number in both for number, *both in zip(found, expected, nearly, strict=True))
    assert len(found) == int((float(times[-1]) + 0.001) / every + 0.5)


def test_frames_of_the_grids_own_rate_are_all_needed_however_they_jitter() -> None:
    jitter = np.random.default_rng(0).uniform(-0.1, 0.1, 500)
    times = [0.0, *(number * 0.25 + jitter[number] for number in range(1, 500))]
    assert _needed(times, 0.25) == list(range(1, 500))
