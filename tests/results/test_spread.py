"""What several seeds amount to, whatever is made of it afterwards."""

import itertools

import pytest

from essential.nested import flattened, keys_apart
from essential.results.runs import Spread, spread_of


def test_the_order_of_the_seeds_makes_no_difference_not_even_to_the_last_digit() -> None:
    values = [0.1, 0.7, 1 / 3, 1e-9]
    assert len({spread_of(order) for order in itertools.permutations(values)}) == 1


def test_a_seed_without_a_value_leaves_no_mean_and_one_seed_no_deviation() -> None:
    assert spread_of([0.5, None]) == Spread(None, None, seeds=2)
    assert spread_of([]) == Spread(None, None)
    assert spread_of([0.5]) == Spread(0.5, None, 0.5, 0.5, 1)
    assert spread_of([0.25, 0.75]) == Spread(0.5, pytest.approx(0.125**0.5), 0.25, 0.75, 2)
    assert spread_of([1.0, 4.0, 1.0]) == Spread(2.0, pytest.approx(3**0.5), 1.0, 4.0, 3)
    assert spread_of([0.7, 0.8, 0.9]) == Spread(pytest.approx(0.8), pytest.approx(0.1), 0.7, 0.9, 3)
    assert spread_of([0.1] * 3).std == 0.0


def test_settings_are_told_apart_by_their_whole_names_in_order() -> None:
    first = dict(flattened({"name": "a", "memory": {"policy": "herding", "caps": {}}, "epochs": 1}))
    second = dict(flattened({"name": "a", "memory": {"policy": "random", "caps": {}}, "epochs": 1, "seed": 2}))
    assert first == {"name": "a", "memory.policy": "herding", "memory.caps": {}, "epochs": 1}
    assert keys_apart([first, second]) == ["memory.policy", "seed"]
    assert keys_apart([first]) == []
