"""Labels of a scatter chart: apart from each other and from the points, with lines that do not cross, inside."""

import random
from itertools import combinations

import numpy as np
import pytest

from essential.report.label_places import Place, place_labels

AREA = (424.0, 300.0)
SIZE = (24.0, 16.0)


def _places(points: list[Place]) -> list[Place]:
    return [(float(x), float(y)) for x, y in place_labels(points, SIZE, area=AREA)]


def _check(points: list[Place], places: list[Place]) -> None:
    for first, second in combinations(places, 2):
        assert abs(first[0] - second[0]) >= SIZE[0] or abs(first[1] - second[1]) >= SIZE[1]
    for x, y in points:
        assert all(abs(left - x) >= 3 + SIZE[0] / 2 or abs(low - y) >= 3 + SIZE[1] / 2 for left, low in places)
    for place in places:
        assert all(half / 2 <= part <= side - half / 2 for part, half, side in zip(place, SIZE, AREA, strict=True))


def _cross(first: tuple[Place, Place], second: tuple[Place, Place]) -> bool:
    def turn(a: Place, b: Place, c: Place) -> float:
        return float(np.sign((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])))

    return turn(*first, second[0]) * turn(*first, second[1]) < 0 > turn(*second, first[0]) * turn(*second, first[1])


def test_a_point_alone_has_its_label_at_its_side() -> None:
    ((x, y),) = _places([(100.0, 100.0)])
    assert y == 100
    assert 100 < x - SIZE[0] / 2 < 115


def test_a_label_at_the_edge_turns_inwards() -> None:
    ((x, y),) = _places([(420.0, 100.0)])
    assert (x < 420, y) == (True, 100)


@pytest.mark.parametrize("seed", range(5))
def test_a_crowd_of_methods_at_one_budget(seed: int) -> None:
    draw = random.Random(seed)
    points = [(200 + draw.uniform(-1, 1), 180 + 5 * place + draw.uniform(0, 4)) for place in range(16)]
    points += [(30.0, 20.0), (400.0, 280.0), (90.0, 150.0), (320.0, 60.0), (325.0, 62.0)]
    places = _places(points)
    _check(points, places)
    lines = list(zip(points, places, strict=True))
    assert not any(_cross(first, second) for first, second in combinations(lines, 2))
    assert {sum(x < 200 for x, _ in places[:16]), sum(x > 200 for x, _ in places[:16])} == {8}


def test_points_in_one_place_have_labels_apart() -> None:
    points = [(31.0, 10.0)] * 3
    _check(points[:1], _places(points))


def test_more_points_than_a_sheet_has_room_for_have_a_label_each_all_the_same() -> None:
    points = [(20.0 * column, 20.0 * row) for column in range(1, 6) for row in range(1, 5)]
    assert place_labels(points, SIZE, area=(120.0, 100.0)).shape == (20, 2)
