"""TCD's class orders, against a Mersenne twister and a shuffle that are not numpy's own."""

import random
from collections.abc import Callable

import numpy as np
import pytest

from essential.errors import ConfigError
from essential.protocols import protocol
from essential.protocols.protocol import Listing, build_protocol, order_classes, tcd_order


def _twister(seed: int) -> Callable[[], int]:
    """Return the 32-bit draws of MT19937 seeded with one number, as numpy seeds it; Python's own class turns it."""
    state = [seed]
    for index in range(1, 624):
        state.append((1812433253 * (state[-1] ^ state[-1] >> 30) + index) % 2**32)
    twister = random.Random()
    twister.setstate((3, (*state, 624), None))
    return lambda: twister.getrandbits(32)


def _shuffled(count: int, seed: int) -> list[int]:
    """Shuffle 0 to count - 1 from the last place down; a place is drawn by masking bits until it fits."""
    draw, numbers = _twister(seed), list(range(count))
    for last in range(count - 1, 0, -1):
        mask = 2 ** last.bit_length() - 1
        place = draw() & mask
        while place > last:
            place = draw() & mask
        numbers[last], numbers[place] = numbers[place], numbers[last]
    return numbers


@pytest.mark.parametrize("classes", [101, 51, 174, 7])
@pytest.mark.parametrize("seed", [1000, 1993, 2021, 5])
def test_the_order_is_that_of_an_independent_shuffle(classes: int, seed: int) -> None:
    assert tcd_order(classes, seed) == _shuffled(classes, seed)


def test_every_published_order_is_pinned() -> None:
    assert set(protocol._PINNED) == {(c, s) for c in (101, 51, 174) for s in (1000, 1993, 2021)}
    assert len(set(protocol._PINNED.values())) == 9


def test_something_something_as_its_tasks_are_published() -> None:
    classes = tuple(f"template {index}" for index in range(174))
    built = build_protocol("ssv2", Listing([], classes), tasks=19, base_classes=84, order_seed=1000, order_rule="tcd")
    numbers = [[int(name.split()[1]) for name in task.classes] for task in built.tasks]
    assert numbers[0][:4] == [33, 28, 129, 145]
    assert [len(task) for task in numbers] == [84] + [5] * 18
    assert numbers[1:3] == [[127, 90, 76, 86, 54], [159, 27, 112, 85, 82]]


def test_the_shuffle_is_of_the_data_sets_own_order() -> None:
    names = ["walk", "run", "jump", "sit"]
    assert order_classes(names, None, "tcd") == names
    assert order_classes(names, 1000, "tcd") == [names[number] for number in _shuffled(4, 1000)]


def test_a_numpy_that_shuffles_otherwise_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other:
        def __init__(self, seed: int) -> None:
            self._generator = np.random.default_rng(seed)

        def shuffle(self, numbers: np.ndarray) -> None:
            self._generator.shuffle(numbers)

    monkeypatch.setattr(np.random, "RandomState", Other)
    with pytest.raises(ConfigError, match=r"protocol\.order_seed=1993: numpy .+ orders 51 classes otherwise than TCD"):
        order_classes([str(index) for index in range(51)], 1993, "tcd")
    assert sorted(tcd_order(50, 1993)) == list(range(50))


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_numpy_does_not_take(seed: int) -> None:
    with pytest.raises(ConfigError, match=rf"protocol\.order_seed={seed} is not allowed .* use 0 to 4294967295"):
        tcd_order(4, seed)
