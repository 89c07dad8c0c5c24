"""Answers for overlapping windows become runs without gap or overlap, against a search of all ways to label cells."""

from itertools import groupby, pairwise, product

import numpy as np
import pytest

from essential.protocols.protocol import Segment
from essential.spans.merging import Run, merged
from essential.video.windows import cut_windows


def _windows(length: float, *, window: float, stride: float) -> list[Segment]:
    return cut_windows(length, window_seconds=window, stride_seconds=stride)


def test_one_window_is_one_run() -> None:
    (run,) = merged([Segment(0, 1.5)], np.array([[0.2, 0.8]]), None, shortest_seconds=1.5)
    assert (run.segment, run.closest, run.label, run.unknown_score) == ((0, 1.5), 1, 1, None)
    assert run.probabilities == pytest.approx([0.2, 0.8])


def test_a_change_is_where_the_means_of_the_windows_change() -> None:
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.1, 0.9]])
    windows = [Segment(0, 2), Segment(1, 3), Segment(2, 4), Segment(3, 5)]
    runs = merged(windows, probabilities, None, shortest_seconds=1.0)
    # Cells: 0-1 by the first window, 1-2 by two, and so on; 2-3 has (0.45, 0.55).
    assert [(tuple(run.segment), run.label) for run in runs] == [((0, 2), 0), ((2, 5), 1)]
    assert runs[0].probabilities[0] == pytest.approx((0.9 + 0.85) / 2)
    assert runs[1].probabilities[1] == pytest.approx((0.55 + 0.9 + 0.9) / 3)


@pytest.mark.parametrize(("lasting", "found"), [(1.0, 1), (2.0, 1), (3.0, 3), (4.0, 3)])
def test_what_is_shorter_than_the_shortest_span_is_flicker(lasting: float, found: int) -> None:
    windows = _windows(20.0, window=1.0, stride=0.25)
    middles = np.array([(start + end) / 2 for start, end in windows])
    inside = (middles > 10 - lasting / 2) & (middles < 10 + lasting / 2)
    probabilities = np.where(inside[:, None], [0.02, 0.98], [0.98, 0.02])
    runs = merged(windows, probabilities, None, shortest_seconds=2.5)
    assert len(runs) == found
    if found == 3:
        assert runs[1].segment == pytest.approx((10 - lasting / 2, 10 + lasting / 2), abs=0.26)


def test_a_run_is_unknown_by_its_mean_score_and_says_so() -> None:
    windows = _windows(12.0, window=1.0, stride=0.5)
    unknown = np.array([2.5 if start >= 6 else 0.5 for start, _ in windows])
    first, second = merged(windows, np.full((len(windows), 2), [0.7, 0.3]), unknown, shortest_seconds=1.0)
    assert (first.label, second.label, second.closest) == (0, None, 0)
    assert first.unknown_score is not None
    assert second.unknown_score is not None
    assert first.unknown_score < 1 < second.unknown_score
    assert second.segment == pytest.approx((6.0, 12.0), abs=0.5)


@pytest.mark.parametrize("seed", range(8))
def test_no_other_labels_are_worth_more(seed: int) -> None:
    draw = np.random.default_rng(seed)
    windows = _windows(float(draw.uniform(2.5, 3.4)), window=1.0, stride=0.5)
    probabilities = draw.dirichlet(np.full(3, 0.5), len(windows))
    shortest = float(draw.uniform(0.5, 2))
    runs = merged(windows, probabilities, None, shortest_seconds=shortest)
    borders = sorted({border for window in windows for border in window})
    cells = [*pairwise(borders)]
    means = [
        np.mean(
            [row for row, (start, end) in zip(probabilities, windows, strict=True) if start <= a and end >= b], axis=0
        )
        for a, b in cells
    ]
    cost = max(0.0, shortest - 0.5) / 2

    def worth(path: tuple[int, ...]) -> float:
        gains = sum(mean[label] * (b - a) for label, mean, (a, b) in zip(path, means, cells, strict=True))
        return float(gains) - cost * sum(one != other for one, other in pairwise(path))

    best = max(product(range(3), repeat=len(cells)), key=worth)
    pieces = []
    for _, group in groupby(range(len(cells)), key=best.__getitem__):
        places = [*group]
        lengths = [cells[place][1] - cells[place][0] for place in places]
        mean = np.average([means[place] for place in places], axis=0, weights=lengths)
        pieces.append((cells[places[0]][0], cells[places[-1]][1], int(mean.argmax())))
    expected = []
    for label, of_label in groupby(pieces, key=lambda piece: piece[2]):
        given = [*of_label]
        expected.append((given[0][0], given[-1][1], label))
    assert [(*run.segment, run.label) for run in runs] == expected


def test_runs_follow_each_other_whatever_the_windows_are() -> None:
    draw = np.random.default_rng(1)
    for window, stride, length in [(0.7, 0.7, 18.9), (1.0, 0.3, 9.1), (2.0, 0.25, 7.0), (5.0, 5.0, 3.0)]:
        windows = _windows(length, window=window, stride=stride)
        probabilities = draw.dirichlet(np.ones(5), len(windows))
        runs = merged(windows, probabilities, draw.uniform(0.5, 1.5, len(windows)), shortest_seconds=window)
        assert runs[0].segment[0] == 0
        assert runs[-1].segment[1] == pytest.approx(length)
        for one, other in pairwise(runs):
            assert one.segment[1] == other.segment[0]
            assert one.label != other.label
        assert all(run.probabilities.sum() == pytest.approx(1) for run in runs)
        assert all(isinstance(run, Run) and run.seconds > 0 for run in runs)
