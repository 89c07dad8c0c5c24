"""Answers come in the order of the clips, whatever the order in which they are read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from essential.learner import reading
from essential.learner.prediction import Prediction
from essential.learner.reading import ClipReader


def _answered(order: list[int], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    def come(*_: Any, **__: Any) -> Iterator[tuple[int, Prediction]]:
        yield from ((place, Prediction(Path(str(place)))) for place in order)

    monkeypatch.setattr(ClipReader, "_as_they_come", come)
    reader = ClipReader.__new__(ClipReader)
    return [int(str(answer.path)) for answer in reader.stream([], top_k=1, with_frames=False)]


def test_answers_wait_for_those_before_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _answered([1, 0, 3, 4, 2, 6, 5], monkeypatch) == list(range(7))


def test_not_too_many_wait_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_MOST_HELD", 3)
    assert _answered([1, 2, 3, 4, 5, 0, 7, 6], monkeypatch) == [1, 2, 3, 4, 5, 0, 6, 7]
