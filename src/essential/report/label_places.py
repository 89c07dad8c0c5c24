"""Where to write the label of each point of a scatter chart, so that none covers another or a point."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

_MARKER = 10.0
_GAP = 4.0
_STEP = 2.0
_CROWD = 40.0
_REACH = 120.0
"""How far a label goes from its point at the most."""

Place = tuple[float, float]


def place_labels(points: Sequence[Place], size: Place, *, area: Place) -> Float[np.ndarray, "points 2"]:
    """Return the middle of each label, inside the area, left or right of its point.

    Each point takes the nearest place that is free; labels of a crowd come to stand in columns on both sides of it.
    Then they trade places so that the lines from points to labels are as short as can be in all: such lines do not
    cross.

    Args:
        points: x and y of each.
        size: width and height of a label.
        area: width and height of the drawing, whose corner is (0, 0).
    """
    # Takes a while to import, and only charts of several methods need it.
    from scipy.optimize import linear_sum_assignment

    spots, box, sheet = np.array(points, float), np.array(size), np.array(area)
    offsets = _offsets(box[0])
    places = np.zeros((0, 2))
    apart = np.linalg.norm(spots[:, None] - spots, axis=2)
    # From the middle of a crowd outwards, so that its columns stand level with it.
    order = np.argsort(-np.exp(-((apart / _CROWD) ** 2)).sum(axis=1), kind="stable")
    for spot in spots[order]:
        around = spot + offsets
        around = around[((around >= box / 2) & (around <= sheet - box / 2)).all(axis=1)]
        free = _apart(around, spots, (box + _MARKER) / 2) & _apart(around, places, box)
        places = np.vstack([places, around[free.argmax()]])
    lengths = np.linalg.norm(spots[:, None] - places, axis=2)
    chosen: Float[np.ndarray, "points 2"] = places[linear_sum_assignment(lengths)[1]]
    return chosen


def _offsets(width: float) -> Float[np.ndarray, "offsets 2"]:
    """Return steps from a point to places beside it, the best first: to go up or down is better than to go away."""
    beside = (width + _MARKER) / 2 + _GAP + np.arange(0, _REACH / 2, 3 * _STEP)
    steps = np.stack(np.meshgrid(np.concatenate([beside, -beside]), np.arange(-_REACH, _REACH + 1, _STEP)), axis=-1)
    steps = steps.reshape(-1, 2)
    cost = 3 * np.abs(steps[:, 0]) + np.abs(steps[:, 1])
    ordered: Float[np.ndarray, "offsets 2"] = steps[np.argsort(cost, kind="stable")]
    return ordered


def _apart(around: np.ndarray, others: np.ndarray, least: np.ndarray) -> np.ndarray:
    """Whether each place is so far from all others, across or along."""
    free: np.ndarray = (np.abs(around[:, None] - others) >= least).any(axis=2).all(axis=1)
    return free
