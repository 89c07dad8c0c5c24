"""Overlapping windows become spans without gap or overlap; predictions become JSON."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from essential.learner.prediction import Prediction, Scored, ShortClip, spans_of
from essential.protocols.protocol import Segment
from essential.video.windows import cut_windows

LABELS = ("wave", "jump")


def test_spans_follow_the_mean_of_the_windows_over_each_cell() -> None:
    windows = [Segment(0, 2), Segment(1, 3), Segment(2, 4)]
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.1, 0.9]])
    spans = spans_of(Path("a.mp4"), windows, LABELS, probabilities, [False] * 3)
    # Cells: 0-1 by the first window, 1-2 by two, 2-3 by two, 3-4 by the last.
    assert [(tuple(span.segment), span.label) for span in spans] == [((0, 2), "wave"), ((2, 4), "jump")]
    assert spans[0].score == pytest.approx((0.9 + 0.75) / 2)
    assert spans[1].score == pytest.approx((0.65 + 0.9) / 2)


def test_a_cell_is_unknown_if_most_of_its_windows_are() -> None:
    windows = [Segment(0, 2), Segment(1, 3), Segment(2, 4)]
    probabilities = np.full((3, 2), [0.7, 0.3])
    spans = spans_of(Path("a.mp4"), windows, LABELS, probabilities, [True, False, False])
    assert [(tuple(span.segment), span.label) for span in spans] == [((0, 1), None), ((1, 4), "wave")]
    assert spans[0].as_json()["unknown"] is True


def test_one_window_is_one_span() -> None:
    spans = spans_of(Path("a.mp4"), [Segment(0, 1.5)], LABELS, np.array([[0.2, 0.8]]), [False])
    assert len(spans) == 1
    assert spans[0].as_json() == {
        "path": "a.mp4",
        "start": 0,
        "end": 1.5,
        "label": "jump",
        "score": pytest.approx(0.8),
        "unknown": False,
    }


def test_json_says_what_was_found_or_why_nothing_was() -> None:
    found = Prediction(Path("a.mp4"), (Scored("wave", 0.75), Scored("jump", 0.25)), 1.5)
    assert (found.label, found.score, found.unknown) == ("wave", 0.75, True)
    assert json.loads(json.dumps(found.as_json())) == {
        "path": "a.mp4",
        "label": "wave",
        "score": 0.75,
        "unknown": True,
        "unknown_score": 1.5,
        "top": [{"label": "wave", "score": 0.75}, {"label": "jump", "score": 0.25}],
    }
    lost = Prediction(Path("b.mp4"), error="it is empty")
    assert lost.as_json() == {"path": "b.mp4", "error": "it is empty"}
    assert (lost.label, lost.score, lost.unknown) == (None, None, None)


def test_a_name_that_is_no_text_can_be_printed() -> None:
    odd = Prediction(Path("a\udcff.mp4"), (Scored("wave", 1.0),))
    assert json.dumps(odd.as_json(), ensure_ascii=False).encode()


def test_spans_are_those_of_the_windows_over_each_cell_one_by_one() -> None:
    draw = np.random.default_rng(1)
    for window, stride, length in [(0.7, 0.7, 18.9), (1.0, 0.3, 9.1), (2.0, 0.25, 7.0), (5.0, 5.0, 3.0)]:
        windows = cut_windows(length, window_seconds=window, stride_seconds=stride)
        probabilities = draw.dirichlet(np.ones(5), len(windows))
        unknown = (draw.random(len(windows)) < 0.3).tolist()
        spans = spans_of(Path("a.mp4"), windows, tuple("abcde"), probabilities, unknown)
        assert spans[0].segment[0] == 0
        assert spans[-1].segment[1] == pytest.approx(length)
        for one, other in pairwise(spans):
            assert one.segment[1] == other.segment[0]
            assert one.label != other.label
        for span in spans:
            # By a loop over the windows, at moments inside.
            cells = sorted(
                {border for part in windows for border in part if span.segment[0] <= border <= span.segment[1]}
            )
            scores = []
            for first, last in pairwise(cells):
                over = [place for place, part in enumerate(windows) if part[0] <= first and part[1] >= last]
                mean = np.mean([probabilities[place] for place in over], axis=0)
                is_unknown = 2 * sum(unknown[place] for place in over) > len(over)
                assert span.label == (None if is_unknown else "abcde"[int(mean.argmax())])
                scores.append(mean.max() * (last - first))
            assert span.score == pytest.approx(sum(scores) / (cells[-1] - cells[0]))


def test_what_a_short_clip_lacks_is_said_in_words() -> None:
    assert [str(ShortClip(frames, 8)) for frames in (1, 5)] == ["1 frame, repeated to 8", "5 frames, repeated to 8"]
