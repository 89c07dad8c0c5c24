"""The order in which classes arrive: by our own rule, or as TCD computes it."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from essential.errors import ConfigError
from essential.files.atomic import sha256_of_json
from essential.seeding import numpy_generator

OrderRule = Literal["essential", "tcd"]

_LARGEST_SEED = 2**32 - 1
# The orders of TCD's data sets (UCF101, HMDB51, SSv2) and seeds, by the SHA-256 of their JSON: numpy draws them, and
# published numbers stand on them.
_PINNED = {
    (101, 1000): "5a8d96805d2fc74e75f75e13e0e7352ee4f4da88bdb4224c963805c0f46c76e1",
    (101, 1993): "370141e0358a7a46ac1d433bf05fe7c107aa995bed8d4dc202fc8afd9d102bfc",
    (101, 2021): "f8cf294f956278ac25b298f567c880473054cda466692ce617caf5f2697276bf",
    (51, 1000): "ed691ff2402b69ac50668af4bcee521fe41097c75950e578d74552ab2e26ac48",
    (51, 1993): "59ceae3272e0bf25be13be5c537e1348c1a4b44fbf79db961a3ccec710977db2",
    (51, 2021): "2b6951578cf751a604677e031a1e9a9b67d8c5f084afe1db763d3b60f78f19cc",
    (174, 1000): "add42485f48b1c7d99179c13782e11c4bc952683fe2c9e672bd0f1430dade01d",
    (174, 1993): "f39d0d55ab792f2c98725c55565d1af9b413e2706104aeb4fa42e5492c45f7b9",
    (174, 2021): "c41cc2d7aef468b20d6aed37ebb568090d6ad74f6aab812edf2a70bce19a429a",
}


def order_classes(classes: Sequence[str], order_seed: int | None, rule: OrderRule = "essential") -> list[str]:
    """Return the classes in order of arrival.

    Args:
        classes: in the data set's own order, which matters to the rule `tcd` alone.
        order_seed: what the shuffle starts from; None leaves them by name (`essential`) or in their own order (`tcd`).
        rule: `essential` shuffles the names, sorted; `tcd` shuffles the data set's class numbers as TCD does.

    Raises:
        ConfigError: see `tcd_order`.
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

    TCD seeds numpy's global generator and shuffles in place; the same generator of our own gives the same order. Those
    of its data sets and seeds are held to a checksum.

    Raises:
        ConfigError: the seed is not one that numpy takes, or numpy gives another order than the pinned one.
    """
    if not 0 <= seed <= _LARGEST_SEED:
        raise ConfigError(
            f"protocol.order_seed={seed} is not allowed with protocol.order_rule=tcd; use 0 to {_LARGEST_SEED}"
        )
    numbers = np.arange(classes)
    np.random.RandomState(seed).shuffle(numbers)
    order = [int(number) for number in numbers]
    pinned, found = _PINNED.get((classes, seed)), sha256_of_json(order)
    if pinned not in (None, found):
        raise ConfigError(
            f"protocol.order_seed={seed}: numpy {np.__version__} orders {classes} classes otherwise than TCD did "
            f"(checksum {found[:12]}, pinned {pinned[:12]}); install another numpy, such as 2.4"
        )
    return order
