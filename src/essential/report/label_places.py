"""Where to write the label of each point of a scatter chart, so that none covers another or a point.

Points that stand alone have their label beside them. Points in a crowd have theirs in two columns, left and right of
the crowd, from top to bottom as the points are, so that the lines from points to labels do not cross in a column.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

_MARKER = 10.0
_CROWDED = 15.0
_COLUMN_OFFSETS = (22, 20, 18, 26, 30, 35, 41, 48, 56, 66, 78, 92)
_RADII = (9, 16, 25, 36, 50)
_ANGLES = (0, 180, 90, -90, 30, 150, -30, -150, 60, 120, -60, -120)
_OUTSIDE = 1e6
_OVERLAP = 100.0
_STRUCK = 300.0


@dataclass(frozen=True)
class Box:
    """An upright rectangle by its centre."""

    x: float
    y: float
    width: float
    height: float

    def overlap(self, other: "Box") -> float:
        """The area that two boxes share."""
        across = (self.width + other.width) / 2 - abs(self.x - other.x)
        along = (self.height + other.height) / 2 - abs(self.y - other.y)
        return max(0.0, min(across, self.width, other.width)) * max(0.0, min(along, self.height, other.height))

    def inside(self, area: tuple[float, float]) -> bool:
        """Whether the box lies in the rectangle from (0, 0) to `area`."""
        sideways = self.width / 2 <= self.x <= area[0] - self.width / 2
        return sideways and self.height / 2 <= self.y <= area[1] - self.height / 2


Place = tuple[float, float]


def place_labels(points: Sequence[Place], sizes: Sequence[Place], *, area: Place) -> list[Box]:
    """Return a box for each label, inside the area.

    Args:
        points: x and y of each.
        sizes: width and height of each label.
        area: width and height of the drawing, whose corner is (0, 0).
    """
    sheet = _Sheet(points, sizes, area)
    for crowd in sorted(_crowds(points), key=len, reverse=True):
        if len(crowd) == 1:
            sheet.put(crowd, [[box] for box in _around(points[crowd[0]], sizes[crowd[0]])])
            continue
        # From the top down, in turns: each column has its points in order.
        order = sorted(crowd, key=lambda index: (-points[index][1], index))
        for side, members in ((1, order[::2]), (-1, order[1::2])):
            edge = side * max(side * points[index][0] for index in crowd)
            sheet.put(members, [sheet.column(members, edge + side * offset) for offset in _COLUMN_OFFSETS])
    return [sheet.placed[index] for index in range(len(points))]


class _Sheet:
    """The drawing while labels are being placed: its points, and the labels that have a place, by index."""

    def __init__(self, points: Sequence[Place], sizes: Sequence[Place], area: Place) -> None:
        self.points, self.sizes, self.area = points, sizes, area
        self.placed: dict[int, Box] = {}

    def put(self, members: Sequence[int], candidates: Sequence[Sequence[Box]]) -> None:
        """Give the labels of `members` the candidate that covers least, of equal ones the first."""
        costs = [self._cost(members, boxes) for boxes in candidates]
        self.placed |= dict(zip(members, candidates[costs.index(min(costs))], strict=True))

    def column(self, members: Sequence[int], x: float) -> list[Box]:
        """Return labels above each other at `x`, as near to their points as their heights allow."""
        tall = max(self.sizes[index][1] for index in members)
        targets = [-self.points[index][1] for index in members]
        ys = spread_out(targets, gap=tall, low=tall / 2 - self.area[1], high=-tall / 2)
        return [Box(x, -y, *self.sizes[index]) for y, index in zip(ys, members, strict=True)]

    def _cost(self, members: Sequence[int], boxes: Sequence[Box]) -> float:
        markers = [Box(x, y, _MARKER, _MARKER) for x, y in self.points]
        taken = [*markers, *self.placed.values()]
        outside = sum(not box.inside(self.area) for box in boxes)
        covered = sum(box.overlap(other) for box in boxes for other in taken)
        struck = 0
        for index, box in zip(members, boxes, strict=True):
            start, end = self.points[index], (box.x, box.y)
            strangers = [marker for marker in markers if math.dist((marker.x, marker.y), start) > _CROWDED]
            struck += sum(_strikes(start, end, other) for other in [*strangers, *self.placed.values()])
        return _OUTSIDE * outside + _OVERLAP * covered + _STRUCK * struck


def _crowds(points: Sequence[Place]) -> list[list[int]]:
    """Group the points that are linked by steps too short for a label."""
    crowds: list[list[int]] = []
    for index, point in enumerate(points):
        near = [crowd for crowd in crowds if any(math.dist(point, points[other]) < _CROWDED for other in crowd)]
        crowds = [crowd for crowd in crowds if crowd not in near]
        crowds.append([index, *(other for crowd in near for other in crowd)])
    return crowds


def _strikes(start: Place, end: Place, box: Box) -> bool:
    """Whether a line comes so near to a box that it seems to belong to it."""
    along = (end[0] - start[0], end[1] - start[1])
    share = ((box.x - start[0]) * along[0] + (box.y - start[1]) * along[1]) / (math.hypot(*along) or 1.0) ** 2
    share = min(max(share, 0.0), 1.0)
    nearest = (start[0] + share * along[0], start[1] + share * along[1])
    return abs(nearest[0] - box.x) < box.width / 2 + 1 and abs(nearest[1] - box.y) < box.height / 2 + 1


def _around(point: Place, size: Place) -> list[Box]:
    """Places around a point, the nearest first."""
    return [
        Box(
            point[0] + (radius + size[0] / 2) * math.cos(math.radians(angle)),
            point[1] + (radius + size[1] / 2) * math.sin(math.radians(angle)),
            *size,
        )
        for radius in _RADII
        for angle in _ANGLES
    ]


def spread_out(targets: Sequence[float], *, gap: float, low: float, high: float) -> list[float]:
    """Return places at least `gap` apart, between `low` and `high`, with the least squared distance to `targets`.

    Args:
        targets: in rising order.
        gap: made smaller where there is no room for it.
        low, high: bounds of the places.
    """
    gap = min(gap, (high - low) / max(1, len(targets) - 1))
    # Without the gaps this is isotonic regression: neighbours that want to pass each other share their mean.
    blocks: list[tuple[float, int]] = []
    for index, target in enumerate(targets):
        blocks.append((target - index * gap, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (last, many), (before, others) = blocks.pop(), blocks.pop()
            blocks.append(((last * many + before * others) / (many + others), many + others))
    level = [mean for mean, count in blocks for _ in range(count)]
    most = high - gap * (len(targets) - 1)
    return [min(max(place, low), most) + index * gap for index, place in enumerate(level)]
