"""Predictions of clips and spans become JSON."""

import json
from pathlib import Path

import numpy as np

from essential.learner.prediction import Prediction, Scored, ShortClip, Span, spans_of
from essential.protocols.protocol import Segment
from essential.spans.labelled_span import LabelledSpan
from essential.spans.merging import Run

LABELS = ("wave", "jump")


def test_a_span_of_a_class_says_how_sure_it_is() -> None:
    span = Span(Path("a.mp4"), Segment(0, 1.5), Scored("jump", 0.8), 0.5)
    assert span.as_json() == {
        "path": "a.mp4",
        "start": 0,
        "end": 1.5,
        "label": "jump",
        "score": 0.8,
        "unknown": False,
        "unknown_score": 0.5,
    }
    assert span.labelled == LabelledSpan(Path("a.mp4"), Segment(0, 1.5), "jump", 0.8)


def test_a_span_of_none_of_the_classes_has_no_number_of_another() -> None:
    span = Span(Path("a.mp4"), Segment(0, 1.5), Scored("jump", 0.53), 1.25)
    said = span.as_json()
    assert (said["label"], said["score"], said["unknown"], said["unknown_score"]) == (None, None, True, 1.25)
    assert said["closest"] == {"label": "jump", "score": 0.53}
    assert span.labelled.label is None


def test_runs_become_spans_with_the_label_of_the_highest_mean() -> None:
    runs = [Run(Segment(0, 2), np.array([0.3, 0.7]), 0.4), Run(Segment(2, 5), np.array([0.9, 0.1]), 1.5)]
    spans = spans_of(Path("a.mp4"), LABELS, runs)
    assert [(span.label, span.closest) for span in spans] == [("jump", ("jump", 0.7)), (None, ("wave", 0.9))]


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


def test_what_a_short_clip_lacks_is_said_in_words() -> None:
    assert [str(ShortClip(frames, 8)) for frames in (1, 5)] == ["1 frame, repeated to 8", "5 frames, repeated to 8"]
