"""The t-test and Holm's correction, against versions that are written differently and slowly."""

import math
import random

import pytest

from essential.results.comparison import holm, paired_p


def _two_sided_p(t: float, freedom: int, steps: int = 200_000) -> float:
    """Twice the tail of Student's density, by the trapezoid rule in u = 1/x over (0, 1/|t|]."""
    constant = math.gamma((freedom + 1) / 2) / (math.sqrt(freedom * math.pi) * math.gamma(freedom / 2))
    width = 1 / abs(t) / steps
    total = 0.0
    for step in range(1, steps + 1):
        u = step * width
        density = constant * (1 + 1 / (freedom * u * u)) ** (-(freedom + 1) / 2) / (u * u)
        total += density * (0.5 if step == steps else 1.0)
    # The density in u is finite at 0, and not 0 there for one degree of freedom.
    at_zero = constant if freedom == 1 else 0.0
    return 2 * width * (total + 0.5 * at_zero)


@pytest.mark.parametrize("pairs", [2, 3, 5, 10])
def test_the_paired_t_test(pairs: int) -> None:
    draw = random.Random(pairs)
    first = [draw.uniform(0.5, 0.9) for _ in range(pairs)]
    second = [value - draw.uniform(-0.02, 0.05) for value in first]
    differences = [a - b for a, b in zip(first, second, strict=True)]
    mean = sum(differences) / pairs
    variance = sum((d - mean) ** 2 for d in differences) / (pairs - 1)
    expected = _two_sided_p(mean / math.sqrt(variance / pairs), pairs - 1)
    found = paired_p(first, second)
    assert found == pytest.approx(expected, rel=1e-4)
    assert paired_p(second, first) == pytest.approx(found)


@pytest.mark.parametrize(
    ("first", "second"),
    [([], []), ([0.5], [0.4]), ([0.5, 0.6], [0.5, 0.6]), ([0.1, 0.3, 0.7], [0.2, 0.4, 0.8])],
    ids=["none", "one pair", "the same", "all lower by the same, but for rounding"],
)
def test_there_is_no_p_without_spread(first: list[float], second: list[float]) -> None:
    assert paired_p(first, second) is None


def _holm_by_closed_testing(values: list[float]) -> list[float]:
    """Holm is the closed test of Bonferroni: the largest corrected p of all sets of hypotheses that hold one."""
    corrected = [0.0] * len(values)
    for chosen in range(1, 2 ** len(values)):
        members = [index for index in range(len(values)) if chosen >> index & 1]
        p = min(1.0, len(members) * min(values[index] for index in members))
        for index in members:
            corrected[index] = max(corrected[index], p)
    return corrected


def test_holm_s_correction() -> None:
    draw = random.Random(1)
    for count in range(1, 9):
        for _ in range(20):
            values = [round(draw.random() ** 4, 3) for _ in range(count)]
            assert holm(values) == pytest.approx(_holm_by_closed_testing(values))


def test_holm_leaves_out_what_has_no_p() -> None:
    assert holm([0.01, None, 0.02, None]) == [pytest.approx(0.02), None, pytest.approx(0.02), None]
    assert holm([None]) == [None]
    assert holm([]) == []
