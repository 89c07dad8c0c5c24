"""Overlapping windows become spans without gap or overlap; predictions become JSON."""

import json
from pathlib import Path

import numpy as np
import pytest

from essential.learner.prediction import Prediction, Scored, spans_of
from essential.protocols.protocol import Segment

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
