"""The order in which classes arrive: by our own rule, or as TCD computes it."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from essential.seeding import numpy_generator

OrderRule = Literal["essential", "tcd"]


def order_classes(classes: Sequence[str], order_seed: int | None, rule: OrderRule = "essential") -> list[str]:
    """Return the classes in order of arrival.

    Args:
        classes: in the data set's own order, which matters to the rule `tcd` alone.
        order_seed: what the shuffle starts from; None leaves them by name (`essential`) or in their own order (`tcd`).
        rule: `essential` shuffles the names, sorted; `tcd` shuffles the data set's class numbers as TCD does.
    """
    if rule == "tcd":
        ordered = list(classes)
        return ordered if order_seed is None else [ordered[index] for index in tcd_order(len(ordered), order_seed)]
    ordered = sorted(classes)
    if order_seed is None:
        return ordered
    return [ordered[index] for index in numpy_generator("class order", order_seed).permutation(len(ordered))]


def tcd_order(classes: int, seed: int) -> list[int]:
    """Return the class numbers 0 to `classes - 1` in TCD's order of arrival (ICCV 2021, released code).

    TCD seeds numpy's global generator and shuffles in place; the same generator of our own gives the same order.
    """
    numbers = np.arange(classes)
    np.random.RandomState(seed).shuffle(numbers)
    return [int(number) for number in numbers]
