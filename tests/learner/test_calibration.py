"""Temperature and probabilities, against a search by hand and a loop."""

import numpy as np
import pytest

from essential.learner.calibration import label_probabilities, temperature_of


def _cross_entropy(scores: np.ndarray, slots: np.ndarray, temperature: float) -> float:
    total = 0.0
    for row, slot in zip(scores / temperature, slots, strict=True):
        shifted = np.exp(row - row.max())
        total -= np.log(shifted[slot] / shifted.sum())
    return total / len(slots)


@pytest.mark.parametrize("scale", [0.01, 1.0, 300.0])
def test_no_temperature_nearby_gives_a_lower_cross_entropy(scale: float) -> None:
    draw = np.random.default_rng(0)
    slots = draw.integers(0, 5, 60)
    scores = (draw.normal(0, 1, (60, 5)) + 1.5 * np.eye(5)[slots]) * scale
    temperature = temperature_of(scores, slots, tuple("abcde"))
    best = _cross_entropy(scores, slots, temperature)
    tried = [_cross_entropy(scores, slots, temperature * factor) for factor in np.linspace(0.5, 2, 61)]
    assert best <= min(tried) + 1e-6


def test_the_temperature_stays_within_bounds_where_every_clip_is_right() -> None:
    scores = 10 * np.eye(4)
    temperature = temperature_of(scores, np.arange(4), tuple("abcd"))
    assert 0 < temperature < 10
    assert temperature_of(np.zeros((0, 4)), np.zeros(0, np.int64), tuple("abcd")) == 1


def test_a_label_has_the_probabilities_of_all_its_slots_and_a_forgotten_slot_has_none() -> None:
    scores = np.array([[1.0, 2.0, -np.inf, 0.5], [0.0, 0.0, -np.inf, 0.0]])
    labels, probabilities = label_probabilities(scores, ("wave", "jump", None, "wave"), 2.0)
    assert labels == ("wave", "jump")
    exponentials = np.exp(scores / 2.0)
    shares = exponentials / exponentials.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities, np.stack([shares[:, 0] + shares[:, 3], shares[:, 1]], axis=1))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)


def test_the_temperature_is_that_of_labels_where_a_label_has_two_slots() -> None:
    draw = np.random.default_rng(5)
    labels = ("wave", "jump", "wave")
    slots = draw.integers(0, 3, 80)
    scores = draw.normal(0, 1, (80, 3)) + 2.0 * np.eye(3)[slots]
    temperature = temperature_of(scores, slots, labels)

    def cross_entropy(tried: float) -> float:
        known, probabilities = label_probabilities(scores, labels, tried)
        truths = [known.index(labels[slot]) for slot in slots]
        return float(-np.log(probabilities[np.arange(80), truths]).mean())

    best = cross_entropy(temperature)
    assert best <= min(cross_entropy(temperature * factor) for factor in np.linspace(0.5, 2, 61)) + 1e-6
