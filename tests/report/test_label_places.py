"""Labels of a scatter chart: apart from each other and from the points, in order, inside the drawing."""

import random
from itertools import combinations, pairwise

import pytest

from essential.report.label_places import Box, place_labels, spread_out

AREA = (424.0, 300.0)
SIZE = (24.0, 16.0)


def _places(points: list[tuple[float, float]]) -> list[Box]:
    return place_labels(points, [SIZE] * len(points), area=AREA)


def _check(points: list[tuple[float, float]], boxes: list[Box]) -> None:
    for first, second in combinations(boxes, 2):
        assert first.overlap(second) == pytest.approx(0, abs=1e-6)
    for x, y in points:
        assert all(box.overlap(Box(x, y, 6.0, 6.0)) == 0 for box in boxes)
    assert all(box.inside(AREA) for box in boxes)


def test_a_point_alone_has_its_label_at_its_side() -> None:
    (box,) = _places([(100.0, 100.0)])
    assert box.y == 100
    assert 100 < box.x - SIZE[0] / 2 < 115


def test_a_label_at_the_edge_turns_inwards() -> None:
    (box,) = _places([(420.0, 100.0)])
    assert box.x < 420


@pytest.mark.parametrize("seed", range(5))
def test_a_crowd_of_methods_at_one_budget(seed: int) -> None:
    draw = random.Random(seed)
    points = [(200 + draw.uniform(-1, 1), 180 + 5 * place + draw.uniform(0, 4)) for place in range(16)]
    points += [(30.0, 20.0), (400.0, 280.0), (90.0, 150.0), (320.0, 60.0), (325.0, 62.0)]
    boxes = _places(points)
    _check(points, boxes)
    for side in (1, -1):
        column = [index for index in range(16) if side * (boxes[index].x - 200) > 0]
        assert len(column) == 8
        assert sorted(column, key=lambda i: points[i][1]) == sorted(column, key=lambda i: boxes[i].y)


def test_points_in_one_place_have_labels_apart() -> None:
    points = [(31.0, 10.0)] * 3
    _check(points[:1], _places(points))


def _slowly_spread(targets: list[float], gap: float, low: float, high: float) -> list[float]:
    """By trying: many small steps towards the targets, each followed by pushing apart what is too close."""
    best = [low + index * gap for index in range(len(targets))]
    step = (high - low) / 4
    while step > 1e-6:
        moved = False
        for first in range(len(best)):
            for last in range(first, len(best)):
                for change in (step, -step):
                    trial = [p + change if first <= i <= last else p for i, p in enumerate(best)]
                    apart = all(b - a >= gap - 1e-9 for a, b in pairwise(trial))
                    if apart and trial[0] >= low and trial[-1] <= high and _far(trial, targets) < _far(best, targets):
                        best, moved = trial, True
        step = step if moved else step / 2
    return best


def _far(places: list[float], targets: list[float]) -> float:
    return sum((place - target) ** 2 for place, target in zip(places, targets, strict=True))


@pytest.mark.parametrize("seed", range(6))
def test_spreading_moves_labels_as_little_as_can_be(seed: int) -> None:
    draw = random.Random(seed)
    targets = sorted(draw.uniform(0, 100) for _ in range(5))
    found = spread_out(targets, gap=15.0, low=5.0, high=95.0)
    assert found == pytest.approx(_slowly_spread(targets, 15, 5, 95), abs=1e-2)


def test_where_there_is_no_room_the_gap_shrinks() -> None:
    assert spread_out([1.0, 1.0, 1.0], gap=10.0, low=0.0, high=10.0) == [0, 5, 10]
