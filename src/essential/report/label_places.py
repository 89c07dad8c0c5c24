"""Where the labels of points stand in a drawing, so that each can be read."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

MARKER_SIZE = 10.0
Place = tuple[float, float]


def place_labels(
    points: Sequence[Place], sizes: Place | Sequence[Place], *, area: Place, around: Sequence[Place] = ()
) -> Float[np.ndarray, "points 2"]:
    """Return the middle of each label, inside the area, left or right of its point; none covers another, or a point.

    Each point takes the nearest place that is free; labels of a crowd form columns on both sides of it.
    Then those of one size trade places so that the lines from points to labels are as short as can be in all: such
    lines do not cross. `sizes` are of all labels or of each, and `area` that of the drawing, whose corner is (0, 0).
    `around` are points without a label, which are not covered either.
    """
    # Takes a while to import, and only charts of several methods need it.
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    spots, boxes = np.array(points, float), np.broadcast_to(np.array(sizes, float), (len(points), 2))
    taken, places, placed = np.array([*points, *around], float), np.zeros_like(spots), np.zeros(len(spots), bool)
    # From the middle of a crowd outwards, so that its columns are level with it.
    crowd = np.exp(-((cdist(spots, spots) / 40) ** 2)).sum(axis=1)
    for number in np.argsort(-crowd, kind="stable"):
        box = boxes[number]
        around_it = spots[number] + _steps_beside(box)
        inside = (around_it >= box / 2) & (around_it <= np.array(area) - box / 2)
        around_it = around_it[inside.all(axis=1)]
        free = np.ones(len(around_it), bool)
        for others, least in ((taken, (box + MARKER_SIZE) / 2), (places[placed], (box + boxes[placed]) / 2)):
            free &= (np.abs(around_it[:, None] - others) >= least).any(axis=2).all(axis=1)
        places[number], placed[number] = around_it[free.argmax()], True
    chosen: Float[np.ndarray, "points 2"] = places.copy()
    for width in np.unique(boxes[:, 0]):
        same = np.flatnonzero(boxes[:, 0] == width)
        chosen[same] = places[same[linear_sum_assignment(cdist(spots[same], places[same]))[1]]]
    return chosen


def _steps_beside(box: Float[np.ndarray, "2"]) -> Float[np.ndarray, "steps 2"]:
    """Return the steps from a point to where its label may be, the nearest first."""
    beside = (box[0] + MARKER_SIZE) / 2 + np.arange(4, 64, 6)
    steps = np.stack(np.meshgrid([*beside, *-beside], np.arange(-120, 121, 2)), axis=-1).reshape(-1, 2)
    # To go up or down is better than to go away.
    return steps[np.argsort(np.abs(steps) @ [3, 1], kind="stable")]
