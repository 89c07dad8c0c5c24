"""Whether a difference between two methods is more than chance: a paired t-test, corrected for many comparisons."""

from collections.abc import Sequence

_ALL_EQUAL = 1e-9
"""Differences of accuracies are multiples of one over the number of test videos; what is closer is rounding."""


def paired_p(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Return the p of a two-sided paired t-test (Student, 1908), n - 1 degrees of freedom.

    None with fewer than two pairs, or if all differences are equal: there is no spread to judge them by.

    Raises:
        ValueError: the lengths differ.
    """
    differences = [a - b for a, b in zip(first, second, strict=True)]
    if len(differences) < 2 or max(differences) - min(differences) < _ALL_EQUAL:
        return None
    # Takes a second to import, and most commands that make reports never get here.
    from scipy.stats import ttest_rel

    return float(ttest_rel(first, second).pvalue)


def holm(values: Sequence[float | None]) -> list[float | None]:
    """Return p values corrected for how many there are: the step-down procedure of Holm (1979), at most 1.

    Among m values, the k-th smallest is multiplied by m - k + 1, and is at least what the smaller ones became. A None
    stays one and does not count.
    """
    known = sorted((value, index) for index, value in enumerate(values) if value is not None)
    corrected: list[float | None] = [None] * len(values)
    largest = 0.0
    for rank, (value, index) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * value))
        corrected[index] = largest
    return corrected
