"""Some of many: evenly over the classes, and evenly within them."""

import numpy as np
import pytest

from essential.analysis.feature_figures import evenly_chosen


@pytest.mark.parametrize("most", [1, 5, 11, 12, 13, 30, 99, 100])
def test_no_class_gets_more_than_another_that_has_more(most: int) -> None:
    slots = np.random.default_rng(0).permutation(np.repeat([0, 1, 2, 5], [60, 25, 3, 12]))
    chosen = evenly_chosen(slots, most)
    assert chosen.tolist() == sorted(set(chosen.tolist()))
    assert len(chosen) <= most
    counts = np.bincount(slots[chosen], minlength=6)
    if most >= 4:
        share = counts.max()
        assert all(counts[slot] == min(share, (slots == slot).sum()) for slot in (0, 1, 2, 5))
        left_over = sum((slots == slot).sum() > share for slot in (0, 1, 2, 5))
        assert len(chosen) + max(left_over, 1) > min(most, 99), "one more of each class would be too many"


def test_what_is_chosen_of_a_class_is_spread_over_it() -> None:
    assert evenly_chosen(np.repeat([0, 1], [10, 2]), 4).tolist() == [2, 7, 10, 11]


def test_where_all_fit_all_are_chosen() -> None:
    assert evenly_chosen(np.array([3, 3, 0]), 3).tolist() == [0, 1, 2]


def test_more_classes_than_places() -> None:
    assert evenly_chosen(np.repeat(np.arange(10), 3), 5).tolist() == [4, 10, 16, 22, 28]
