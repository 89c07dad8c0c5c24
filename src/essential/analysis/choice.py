"""Some of many, evenly over the classes, so that an analysis stays small; nothing is drawn at random."""

import numpy as np
from jaxtyping import Int

from essential.memory.selection import uniform_positions


def evenly_chosen(slots: Int[np.ndarray, " rows"], most: int) -> Int[np.ndarray, " chosen"]:
    """Return the places of `most` rows at most, in order: as many of each class as go round, and evenly spread in it.

    All of them where they are no more than that; where there are more classes than `most`, one row of some classes.
    """
    if len(slots) <= most:
        return np.arange(len(slots))
    counts = np.bincount(slots)
    share = _share(counts[counts > 0], most)
    of_class = [np.flatnonzero(slots == slot) for slot in np.flatnonzero(counts)]
    chosen = np.concatenate([rows[_spread(len(rows), min(len(rows), max(share, 1)))] for rows in of_class])
    return np.sort(chosen if share else chosen[_spread(len(chosen), most)])


def _share(counts: Int[np.ndarray, " classes"], most: int) -> int:
    """Return the largest share with which the classes, each with so many rows or fewer, keep within `most`."""
    share = most // len(counts)
    while np.minimum(counts, share + 1).sum() <= most:
        share += 1
    return share


def _spread(count: int, wanted: int) -> Int[np.ndarray, " wanted"]:
    return uniform_positions(wanted, count).numpy()
