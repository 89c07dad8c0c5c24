"""Indices are valid, sorted, in their segments, and reach every frame."""

from collections import Counter
from fractions import Fraction
from math import floor

import numpy as np
import pytest

from essential.video.views import segment_indices

COUNTS = [*range(1, 40), 164, 300, 100_003]
SEGMENTS = [1, 2, 3, 8, 16, 32]


@pytest.mark.parametrize("segments", SEGMENTS)
def test_evaluation_takes_the_centres(segments: int) -> None:
    for count in COUNTS:
        centres = [floor((segment + Fraction(1, 2)) * count / segments) for segment in range(segments)]
        assert segment_indices(count, segments, generator=None) == centres


def test_known_centres() -> None:
    assert segment_indices(200, 8, generator=None) == [12, 37, 62, 87, 112, 137, 162, 187]
    assert segment_indices(2, 8, generator=None) == [0, 0, 0, 0, 1, 1, 1, 1]


@pytest.mark.parametrize("segments", SEGMENTS)
def test_training_draws_one_frame_of_each_segment(segments: int) -> None:
    generator = np.random.default_rng(0)
    for count in COUNTS:
        for _ in range(20):
            indices = segment_indices(count, segments, generator=generator)
            assert len(indices) == segments
            assert indices == sorted(indices)
            for segment, index in enumerate(indices):
                assert 0 <= index < count
                assert floor(Fraction(segment * count, segments)) <= index <= Fraction((segment + 1) * count, segments)


@pytest.mark.parametrize(("count", "segments"), [(10, 8), (13, 4), (24, 8), (5, 8)])
def test_training_reaches_every_frame_equally(count: int, segments: int) -> None:
    generator = np.random.default_rng(0)
    drawn = Counter(index for _ in range(4000) for index in segment_indices(count, segments, generator=generator))
    assert sorted(drawn) == list(range(count))
    np.testing.assert_allclose([drawn[index] for index in range(count)], 4000 * segments / count, rtol=0.12)


class _AlmostOne(np.random.Generator):
    def random(self, size: int) -> np.ndarray:  # type: ignore[override]
        return np.full(size, np.nextafter(1.0, 0.0))


def test_the_greatest_draw_stays_inside() -> None:
    generator = _AlmostOne(np.random.PCG64(0))
    for count in COUNTS:
        assert segment_indices(count, 8, generator=generator)[-1] == count - 1


def test_the_same_generator_state_gives_the_same_frames() -> None:
    first, second = (segment_indices(300, 8, generator=np.random.default_rng(5)) for _ in range(2))
    assert first == second != segment_indices(300, 8, generator=np.random.default_rng(6))


@pytest.mark.parametrize(("count", "segments"), [(0, 8), (-1, 8), (10, 0)])
def test_impossible_numbers_are_refused(count: int, segments: int) -> None:
    with pytest.raises(ValueError, match=f"cannot take {segments} segments of {count} frames"):
        segment_indices(count, segments, generator=None)
