"""The distance from all classes, against the plain formula, and the threshold that lets the known pass."""

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf

from essential.learner.calibration import out_of_distribution_of

WIDTH = 6
# Of more numbers than there are clips, too: all is computed in the clips' span then.
WIDTHS = (WIDTH, 40)


def _clips(
    draw: np.random.Generator, per_class: int, classes: int = 3, width: int = WIDTH
) -> tuple[np.ndarray, np.ndarray]:
    centres = np.random.default_rng(7).normal(0, 6, (classes, width))
    slots = np.repeat(np.arange(classes), per_class)
    return centres[slots] + draw.normal(0, 1, (len(slots), width)), slots


def _distance(vector: np.ndarray, vectors: np.ndarray, slots: np.ndarray) -> float:
    """The Mahalanobis distance from the nearest mean, as it is written in a book."""
    means = {slot: vectors[slots == slot].mean(axis=0) for slot in set(slots.tolist())}
    count = {slot: int((slots == slot).sum()) for slot in means}
    apart = [
        (one - means[slot]) * np.sqrt(count[slot] / (count[slot] - 1))
        for one, slot in zip(vectors, slots.tolist(), strict=True)
        if count[slot] > 1
    ]
    inverse = np.linalg.inv(ledoit_wolf(np.array(apart), assume_centered=True)[0])
    return float(min(np.sqrt((vector - mean) @ inverse @ (vector - mean)) for mean in means.values()))


@pytest.mark.parametrize("width", WIDTHS)
def test_the_score_is_the_distance_over_the_threshold(width: int) -> None:
    draw = np.random.default_rng(0)
    (vectors, slots), (held, held_slots) = _clips(draw, 5, width=width), _clips(draw, 2, width=width)
    measure = out_of_distribution_of(vectors, slots, held, held_slots)
    assert measure is not None
    every, labels = np.concatenate([vectors, held]), np.concatenate([slots, held_slots])
    queries = np.concatenate([draw.normal(0, 8, (10, width)), every])
    expected = [_distance(query, every, labels) / measure.threshold for query in queries]
    np.testing.assert_allclose(measure.scores(queries), expected, rtol=1e-6)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_threshold_is_measured_on_clips_that_are_no_part_of_what_measures_them(width: int) -> None:
    draw = np.random.default_rng(1)
    (vectors, slots), (held, held_slots) = _clips(draw, 4, width=width), _clips(draw, 3, width=width)
    measure = out_of_distribution_of(vectors, slots, held, held_slots)
    assert measure is not None
    places = np.tile(np.arange(3), 3)
    distances = []
    for index, place in enumerate(places):
        kept = places != place
        every = np.concatenate([vectors, held[kept]]), np.concatenate([slots, held_slots[kept]])
        distances.append(_distance(held[index], *every))
    assert np.isclose(measure.threshold, np.quantile(distances, 0.95), rtol=1e-6)


def test_far_clips_are_unknown_and_near_ones_are_not() -> None:
    draw = np.random.default_rng(2)
    (vectors, slots), (held, held_slots) = _clips(draw, 8), _clips(draw, 4)
    measure = out_of_distribution_of(vectors, slots, held, held_slots)
    assert measure is not None
    known, _ = _clips(draw, 50)
    assert (measure.scores(known) > 1).mean() < 0.2
    assert (measure.scores(known + 12) > 1).mean() > 0.95


def test_nothing_is_told_without_a_held_out_clip_or_without_two_clips_of_a_class() -> None:
    draw = np.random.default_rng(3)
    vectors, slots = _clips(draw, 4)
    none, no_slots = np.zeros((0, WIDTH)), np.zeros(0, np.int64)
    assert out_of_distribution_of(vectors, slots, none, no_slots) is None
    assert out_of_distribution_of(none, no_slots, vectors[::4], slots[::4]) is None
    assert out_of_distribution_of(np.ones((4, WIDTH)), slots[:4], np.ones((2, WIDTH)), slots[:2]) is None


def test_clips_that_ask_for_no_shrinkage_leave_distances_in_every_direction() -> None:
    # The mean and one step from it to either side: the covariance is known, and one direction has all the variance.
    centre, step = np.full(40, 0.1), np.eye(40)[0]
    vectors, slots = np.stack([centre - step, centre + step]), np.array([0, 0])
    measure = out_of_distribution_of(vectors, slots, vectors, slots)
    assert measure is not None
    one, two, across = measure.scores(centre + np.stack([step, 2 * step, np.eye(40)[1]])) * measure.threshold
    np.testing.assert_allclose([one, two], np.sqrt([3 / 4, 3]), rtol=1e-4)
    np.testing.assert_allclose(across, np.sqrt(40 * 1e9 * 3 / 4), rtol=1e-3)


def test_clips_of_equal_numbers_in_most_places_are_measured() -> None:
    draw = np.random.default_rng(4)
    vectors, slots = _clips(draw, 6)
    vectors[:, 2:] = 1.0
    measure = out_of_distribution_of(vectors[:12], slots[:12], vectors[12:], slots[12:])
    assert measure is None or np.isfinite(measure.scores(vectors)).all()
    whole = out_of_distribution_of(vectors, slots, vectors[::3], slots[::3])
    assert whole is not None
    assert np.isfinite(whole.scores(vectors)).all()


@pytest.mark.parametrize("width", WIDTHS)
def test_equal_clips_are_no_measure(width: int) -> None:
    # Their mean is exact, but may not be that of their coordinates in a span.
    one = np.random.default_rng(5).normal(0, 6, (4, width)).astype(np.float32)
    vectors, slots = np.repeat(one, 7, axis=0), np.repeat(np.arange(4), 7)
    assert out_of_distribution_of(vectors, slots, vectors[::7], slots[::7]) is None
