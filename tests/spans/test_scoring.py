"""Precision, recall and F1 by overlap, against a plain loop as of ActivityNet's toolkit."""

from pathlib import Path

import numpy as np
import pytest

from essential.errors import ConfigError
from essential.protocols.protocol import Segment
from essential.spans import LabelledSpan, SpanScores, score_spans
from essential.spans.scoring import SpanCounts, intersection_over_union

A, B = Path("a.mp4"), Path("b.mp4")


def span(start: float, end: float, label: str | None, score: float | None = None, path: Path = A) -> LabelledSpan:
    return LabelledSpan(path, Segment(start, end), label, score)


def test_overlap_is_intersection_over_union() -> None:
    assert intersection_over_union(Segment(0, 4), Segment(2, 6)) == pytest.approx(2 / 6)
    assert intersection_over_union(Segment(0, 4), Segment(0, 4)) == 1
    assert intersection_over_union(Segment(0, 4), Segment(4, 6)) == 0
    assert intersection_over_union(Segment(0, 4), Segment(9, 10)) == 0


def test_a_labelled_span_is_found_once_by_the_surest_prediction() -> None:
    labelled = [span(0, 10, "wave"), span(20, 30, "wave"), span(40, 50, "jump")]
    predicted = [
        span(1, 10, "wave", 0.7),
        span(0, 10, "wave", 0.6),  # again
        span(20, 24, "wave", 0.9),  # too short
        span(40, 50, "jump", 0.5, B),  # of another video
        span(40, 50, None),
    ]
    scores = score_spans(predicted, labelled)
    assert scores.per_class == {"jump": SpanCounts(0, 1, 1), "wave": SpanCounts(1, 3, 2)}
    assert scores.total == SpanCounts(1, 4, 3)
    assert (scores.total.precision, scores.total.recall) == (1 / 4, 1 / 3)
    assert scores.total.f1 == pytest.approx(2 / 7)


def test_an_overlap_of_exactly_the_threshold_is_right() -> None:
    assert score_spans([span(0, 5, "wave", 1.0)], [span(0, 10, "wave")], overlap=0.5).total.right == 1
    assert score_spans([span(0, 5, "wave", 1.0)], [span(0, 10, "wave")], overlap=0.51).total.right == 0


def test_nothing_to_divide_by_is_no_number() -> None:
    nothing = score_spans([], [])
    assert (nothing.total.precision, nothing.total.recall, nothing.total.f1) == (None, None, None)
    missed = score_spans([], [span(0, 1, "wave")]).as_json()
    assert (missed["precision"], missed["recall"], missed["f1"], missed["overlap"]) == (None, 0.0, 0.0, 0.5)
    assert missed["per_class"]["wave"]["labelled"] == 1


@pytest.mark.parametrize("overlap", [0.0, -1.0, 1.5, float("nan")])
def test_an_overlap_outside_of_its_range_is_refused(overlap: float) -> None:
    with pytest.raises(ConfigError, match="an overlap of"):
        score_spans([], [], overlap=overlap)


@pytest.mark.parametrize("seed", range(10))
def test_counts_are_those_of_a_plain_loop(seed: int) -> None:
    draw = np.random.default_rng(seed)

    def some(number: int) -> list[LabelledSpan]:
        starts, lengths = draw.uniform(0, 30, number), draw.uniform(1, 8, number)
        return [
            span(start, start + length, str(draw.choice(["x", "y"])), float(draw.random()), [A, B][draw.integers(2)])
            for start, length in zip(starts.tolist(), lengths.tolist(), strict=True)
        ]

    predicted, labelled = some(25), some(15)
    overlap = float(draw.uniform(0.2, 0.7))
    assert score_spans(predicted, labelled, overlap=overlap) == SpanScores(
        overlap, _brute(predicted, labelled, overlap)
    )


def _brute(predicted: list[LabelledSpan], labelled: list[LabelledSpan], overlap: float) -> dict[str, SpanCounts]:
    right = dict.fromkeys("xy", 0)
    taken: set[int] = set()
    for guess in sorted(predicted, key=lambda each: -(each.score or 0)):
        overlaps = []
        for place, truth in enumerate(labelled):
            if (truth.path, truth.label) != (guess.path, guess.label) or place in taken:
                continue
            shared = min(guess.segment[1], truth.segment[1]) - max(guess.segment[0], truth.segment[0])
            total = (guess.segment[1] - guess.segment[0]) + (truth.segment[1] - truth.segment[0])
            if shared > 0 and shared / (total - shared) >= overlap:
                overlaps.append((shared / (total - shared), place))
        if overlaps:
            taken.add(max(overlaps)[1])
            right[str(guess.label)] += 1
    return {
        label: SpanCounts(
            right[label],
            sum(each.label == label for each in predicted),
            sum(each.label == label for each in labelled),
        )
        for label in "xy"
    }
