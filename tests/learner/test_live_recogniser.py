"""A camera's frames, given one by one, are encoded once, answered as the windows of a file are, and counted."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jaxtyping import Float

from counting_encoder import CountingEncoder
from essential import VideoLearner
from essential.errors import ConfigError, DataError
from essential.features.config import FeaturesConfig
from essential.features.pipeline import ClipEncoder
from essential.features.provenance import Recipe, build_recipe
from essential.features.windows import window_features
from essential.learner.live import LiveAnswer, LiveRecogniser, _threads
from essential.learner.prediction import Prediction, Scored
from essential.learner.reading import ClipReader
from essential.progress import QUIET
from essential.video.config import AugmentConfig
from essential.video.decode import read_frames
from essential.video.windows import WindowedVideo
from features.fake_encoder import FakeEncoder
from taught import MACHINE, Clips, new_learner
from video_files import numbered_frame, write_video

RATE = 25
FRAMES, READ = 4, 8


class Recording:
    """A predictor that answers one label, and keeps the features that it was given."""

    def __init__(self) -> None:
        self.features: list[Float[np.ndarray, "frames dim"]] = []

    def predictions(self, paths: list[Path], features: Any, *, top_k: int) -> list[Prediction]:
        self.features += list(features)
        return [Prediction(path, (Scored("up", 1.0),) * top_k) for path in paths]


def _recipe(encoder: FakeEncoder) -> Recipe:
    return build_recipe(FeaturesConfig(), encoder, augment=AugmentConfig(), frames=FRAMES, seed=0)


def _live(encoder: CountingEncoder, window: float, every: float | None = None) -> tuple[LiveRecogniser, Recording]:
    recording: Any = Recording()
    reader = ClipReader(recording, _recipe(encoder), FeaturesConfig(), 1)
    return LiveRecogniser(reader, window_seconds=window, every_seconds=every), recording


def _pushed(live: LiveRecogniser, times: Any) -> list[LiveAnswer]:
    answers = (live.push(numbered_frame(number), seconds) for number, seconds in enumerate(times))
    return [answer for answer in answers if answer is not None]


@pytest.mark.numeric
@pytest.mark.parametrize(
    "shape", [{"per_frame": True}, {"per_frame": False}, {"per_frame": False, "clip_frames": READ}]
)
def test_answers_are_of_the_windows_of_a_file(tmp_path: Path, shape: dict[str, Any]) -> None:
    path = write_video(tmp_path / "v.mp4", [numbered_frame(number) for number in range(120)])
    encoder = CountingEncoder(**shape)
    read = encoder.frames_read(FRAMES)
    # A frame lies in the middle of each part, of six frames.
    step = 6 / RATE
    video = WindowedVideo(path, frames=read, window_seconds=read * step, stride_seconds=step)
    clips = ClipEncoder(encoder, frames=FRAMES, batch_clips=1, precision="float32")
    parts = window_features(video, clips, recipe=_recipe(encoder), workers=0, progress=QUIET)
    expected = np.concatenate(list(parts))
    encoder.given.clear()
    live, recording = _live(encoder, read * step, every=step)
    frames = read_frames(path, range).frames
    answers = [live.push(frame, 1000 + number / RATE) for number, frame in enumerate(frames)]
    assert len(recording.features) == len(expected) >= 5
    np.testing.assert_allclose(np.stack(recording.features), expected, rtol=2**-22, atol=1e-12)
    ends = [answer.seconds for answer in answers if answer is not None]
    assert ends == pytest.approx([1000 + window.frames[-1] / RATE for window in video.windows])
    needed = list(range(3, 120, 6))
    if encoder.per_frame:
        assert encoder.given == needed, "each frame is encoded once"
    else:
        assert encoder.given == [number for window in video.windows for number in window.frames]
    assert (live.received, live.used, live.repeated) == (120, len(needed), 0)


def test_answers_come_as_often_as_asked_and_at_once_when_the_window_is_full() -> None:
    live, _ = _live(CountingEncoder(per_frame=True), window=1.0, every=0.5)
    answers = _pushed(live, np.arange(0, 10, 0.05))
    assert answers[0].seconds == pytest.approx(0.9, abs=0.051)
    gaps = [after.seconds - before.seconds for before, after in pairwise(answers)]
    assert gaps == pytest.approx([0.5] * len(gaps))
    assert len(answers) == 19
    assert live.push(numbered_frame(0), 10.05, top_k=3) is None


def test_answers_keep_their_rate_where_frames_are_needed_at_another() -> None:
    live, _ = _live(CountingEncoder(per_frame=True), window=1.2, every=0.5)
    answers = _pushed(live, np.arange(0, 31, 0.02))
    assert len(answers) == 1 + int((answers[-1].seconds - answers[0].seconds) / 0.5 + 0.5) >= 59


def test_the_same_frames_give_the_same_answers() -> None:
    times = np.cumsum(np.random.default_rng(0).exponential(0.04, 500))
    answers, features = [], []
    for _ in range(2):
        live, recording = _live(CountingEncoder(per_frame=True), window=1.0)
        answers.append([answer.seconds for answer in _pushed(live, times)])
        features.append(np.stack(recording.features))
    assert answers[0] == answers[1]
    assert len(answers[0]) > 20
    np.testing.assert_array_equal(features[0], features[1])


def test_a_slow_camera_has_its_frames_repeated_which_is_counted_and_not_encoded_again() -> None:
    encoder = CountingEncoder(per_frame=True)
    live, recording = _live(encoder, window=1.0)
    answers = _pushed(live, np.arange(0, 8, 0.5))  # of frames that are needed every quarter of a second
    assert {answer.prediction.short_clip for answer in answers} == {(2, 4)}
    assert len(encoder.given) == live.used == live.repeated == 15
    assert (recording.features[-1][:2] == recording.features[-1][0]).all()


def test_after_a_pause_it_begins_anew() -> None:
    live, _ = _live(CountingEncoder(per_frame=True), window=1.0)
    times = [*np.arange(0, 3, 0.05), *np.arange(60, 63, 0.05)]
    answers = _pushed(live, times)
    after = [answer.seconds for answer in answers if answer.seconds > 3]
    assert after[0] == pytest.approx(60.75, abs=0.2)
    assert live.repeated == 0
    assert all(answer.prediction.short_clip is None for answer in answers)


def test_frames_that_are_not_needed_can_be_passed_over_undecoded() -> None:
    times = np.arange(0, 4, 0.03)
    whole, seen = _live(CountingEncoder(per_frame=True), window=1.0)
    _pushed(whole, times)
    sparing, seen_too = _live(CountingEncoder(per_frame=True), window=1.0)
    for number, seconds in enumerate(times):
        if sparing.needs(seconds):
            sparing.add(numbered_frame(number), seconds)
            sparing.answer()
        else:
            sparing.pass_over(seconds)
    assert (sparing.received, sparing.used) == (whole.received, whole.used) == (134, 16)
    np.testing.assert_array_equal(seen_too.features[-1], seen.features[-1])


@pytest.mark.parametrize(
    ("window", "every", "said"),
    [
        (0.0, None, "a window of 0.0 s"),
        (float("nan"), None, "a window of nan s"),
        (float("inf"), None, "a window of inf s"),
        (2.0, 0.1, "an answer every 0.1 s .* 4 frames, one every 0.5 s"),
        (2.0, float("nan"), "an answer every nan s"),
    ],
)
def test_numbers_that_are_not_allowed_are_named(window: float, every: float | None, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        _live(CountingEncoder(per_frame=True), window, every)


def test_a_longer_window_is_answered_as_often_as_its_frames_are_needed() -> None:
    live, _ = _live(CountingEncoder(per_frame=True), window=8.0)
    assert live.every_seconds == live.frame_seconds == 2.0


@pytest.mark.parametrize(
    ("frame", "seconds", "said"),
    [
        (numbered_frame(1), 5.0, "came after one of 5.0 s"),
        (numbered_frame(1), 4.0, "a frame of 4.0 s"),
        (numbered_frame(1), float("nan"), "a frame of nan s"),
        (numbered_frame(1)[..., 0], 6.0, r"uint8 \(48, 64\)"),
        (numbered_frame(1) / 255, 6.0, r"float64 \(48, 64, 3\)"),
        (numbered_frame(1)[:0], 6.0, r"uint8 \(0, 64, 3\)"),
        ([[0]], 6.0, "a frame is list"),
    ],
)
def test_frames_that_cannot_be_used_are_refused_and_nothing_is_lost(frame: Any, seconds: float, said: str) -> None:
    live, _ = _live(CountingEncoder(per_frame=True), window=1.0)
    _pushed(live, np.arange(0, 5.05, 0.25))
    with pytest.raises(DataError, match=said):
        live.push(frame, seconds)
    assert live.push(numbered_frame(1), 5.5) is not None
    assert live.repeated == 1


def test_a_learner_answers_clips_that_are_played_to_it_as_it_answers_the_files(clips: Clips) -> None:
    learner = VideoLearner(
        encoder="tiny", method="slda-temporal", overrides=["features.workers=0", "features.views=0", *MACHINE]
    )
    learner.learn(clips.to_teach("left", "right", "up"))
    paths = [path for of_class in clips.to_ask("left", "right", "up").values() for path in of_class]
    same = 0
    for path, file in zip(paths, learner.predict(paths), strict=True):
        live = learner.live(window_seconds=1.12)
        pushed = (live.push(frame, place / RATE) for place, frame in enumerate(read_frames(path, range).frames))
        answer = next(answer for answer in pushed if answer is not None)
        assert sum(score for _, score in answer.prediction.top) == pytest.approx(1)
        same += answer.prediction.label == file.label
    assert same >= len(paths) - 1


def test_without_a_class_nothing_is_recognised() -> None:
    with pytest.raises(DataError, match="nothing was taught yet"):
        new_learner(*MACHINE).live()


def test_whoever_is_behind_gives_one_answer_for_all_that_were_due() -> None:
    live, _ = _live(CountingEncoder(per_frame=True), window=1.0, every=0.5)
    due = []
    for number in range(41):
        live.add(numbered_frame(number), number * 0.05)
        due.append(live.answers_due)
    assert due == sorted(due)
    assert (due[0], due[-1]) == (0, 5)
    answer = live.answer()
    assert answer is not None
    assert answer.seconds == pytest.approx(1.9, abs=0.051)
    assert live.answers_due == 0


@pytest.mark.parametrize(
    ("operations", "most", "threads"), [(0, 2, 1), (10**9, 2, 1), (10**11, 4, 3), (10**13, 4, 4), (10**13, None, 8)]
)
def test_an_encoder_has_the_threads_that_a_camera_needs_and_no_more(
    monkeypatch: pytest.MonkeyPatch, operations: int, most: int | None, threads: int
) -> None:
    monkeypatch.setattr("essential.features.cores.clip_operations", lambda *_: operations)
    monkeypatch.setattr("essential.learner.live.cpu_cores", lambda: 8)
    assert _threads(_recipe(CountingEncoder(per_frame=True)), most, clip_seconds=1.5) == threads
