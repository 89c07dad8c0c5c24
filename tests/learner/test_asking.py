"""Asking a learner: no answer waits for the next question, and what cannot be read costs only itself."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from queue import Queue

import numpy as np
import pytest
from torch import Tensor

from essential import VideoLearner
from essential.learner.labelled_predictor import _by_parts, _dense
from essential.learner.prediction import Prediction
from essential.models.classifier import Predictor
from taught import Clips
from video_files import numbered_frame, write_frame_folder


@pytest.mark.parametrize("workers", [0, 1])
def test_no_answer_waits_for_the_next_path(taught_bundle: Path, clips: Clips, workers: int) -> None:
    overrides = ["training.device=cpu", "features.batch_clips=4", f"features.workers={workers}"]
    sent: Queue[Path | None] = Queue()
    stream = VideoLearner.load(taught_bundle, overrides=overrides).stream(iter(sent.get, None))
    for path in [*clips.to_ask("left")["left"][:2], Path("gone.mp4")]:
        sent.put(path)
        # Were it held back, this would wait for ever.
        answer = next(stream)
        assert answer.path == path
        assert (answer.error is None) == (path.name != "gone.mp4")
    sent.put(None)
    assert list(stream) == []


def test_what_is_under_way_is_answered_before_an_error_of_the_source(learner: VideoLearner, clips: Clips) -> None:
    asked = clips.to_ask("left")["left"]

    def source() -> Iterator[Path]:
        yield from asked
        raise OSError("the list is gone")

    answers: list[Prediction] = []
    with pytest.raises(OSError, match="the list is gone"):
        answers.extend(learner.stream(source()))
    assert [answer.path for answer in answers] == asked


def test_what_names_no_clip_is_answered_in_its_place(learner: VideoLearner, clips: Clips, tmp_path: Path) -> None:
    whole = clips.to_ask("left")["left"][0]
    (tmp_path / "empty").mkdir()
    given = [tmp_path / "empty", whole, "", "a\0.mp4", "x" * 5000, whole]
    answers = learner.predict(given)
    assert [answer.error is None for answer in answers] == [False, True, False, False, False, True]
    assert "the folder holds no video" in str(answers[0].error)
    assert answers[1].top == answers[5].top


def test_a_clip_given_as_a_folder_of_frames_is_asked_by_its_folder(learner: VideoLearner, tmp_path: Path) -> None:
    folder = write_frame_folder(tmp_path / "frames", [numbered_frame(number) for number in range(12)])
    (answer,) = learner.predict(folder)
    assert answer.path == folder
    assert answer.label in learner.classes
    (folder / "img_00005.jpg").unlink()
    (answer,) = learner.predict(tmp_path)
    assert str(answer.error).startswith("between img_00001.jpg and img_00012.jpg it lacks the numbers 5")


@pytest.mark.numeric
def test_each_clip_is_read_once(learner: VideoLearner, monkeypatch: pytest.MonkeyPatch) -> None:
    labelled, features = learner.labelled_predictor, learner.held_out.features.numpy()
    measure = labelled.out_of_distribution
    assert measure is not None
    plain = replace(labelled, out_of_distribution=None).answers(features)
    unknown = measure.scores(_by_parts(labelled.predictor, labelled.predictor.tokens, *_dense(features)))
    encode, read = type(labelled.predictor).tokens, []

    def noted(predictor: Predictor, clips: Tensor, positions: Tensor) -> Tensor:
        read.append(len(clips))
        return encode(predictor, clips, positions)

    monkeypatch.setattr(type(labelled.predictor), "tokens", noted)
    answers = labelled.answers(features)
    assert read == [len(features)]
    assert (answers.labels, plain.unknown_scores) == (plain.labels, None)
    np.testing.assert_array_equal(answers.probabilities, plain.probabilities)
    np.testing.assert_array_equal(answers.unknown_scores, unknown)
