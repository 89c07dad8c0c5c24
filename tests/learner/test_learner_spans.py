"""Spans of one long video are clips of their own; what a learner finds in it is compared with what is labelled."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import essential.video.decode
import essential.video.frame_folder
from essential import VideoLearner
from essential.errors import ConfigError, DataError
from essential.learner.clips import clips_by_class
from essential.learner.cutting import cut_spans
from essential.protocols.moving_digits import encode
from essential.protocols.protocol import Segment
from essential.spans import LabelledSpan
from essential.video.decode import read_frames
from taught import MACHINE, Clips

FRAMES, RATE = 28, 25
SECONDS = FRAMES / RATE


@pytest.fixture(scope="module")
def long_video(clips: Clips, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a video of all training clips of two classes, in turns."""
    of_classes = clips.to_teach("left", "right")
    paths = [path for pair in zip(*of_classes.values(), strict=True) for path in pair]
    frames = [read_frames(path, range).frames for path in paths]
    assert {len(each) for each in frames} == {FRAMES}
    path = tmp_path_factory.mktemp("long") / "long.mp4"
    path.write_bytes(encode(np.concatenate(frames), "mp4"))
    return path


def _spans(video: Path, number: int = 20) -> list[LabelledSpan]:
    return [
        LabelledSpan(video, Segment(place * SECONDS, (place + 1) * SECONDS), ("left", "right")[place % 2])
        for place in range(number)
    ]


@pytest.fixture(scope="module")
def bundle_of_spans(long_video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    learner = VideoLearner(encoder="tiny", overrides=MACHINE)
    lesson = learner.learn(_spans(long_video))
    assert (lesson.classes, lesson.clips, dict(lesson.skipped)) == (("left", "right"), (10, 10), {})
    path = tmp_path_factory.mktemp("bundle") / "spans.bundle"
    learner.save(path)
    return path


@pytest.mark.numeric
def test_spans_teach_what_the_clips_would(bundle_of_spans: Path, clips: Clips) -> None:
    learner = VideoLearner.load(bundle_of_spans, overrides=MACHINE)
    answers = [
        (name, answer.label)
        for name, paths in clips.to_ask("left", "right").items()
        for answer in learner.predict(paths)
    ]
    assert sum(name == label for name, label in answers) >= 6


def test_a_span_is_taught_once_and_another_of_the_same_video_is_another(
    bundle_of_spans: Path, long_video: Path, tmp_path: Path
) -> None:
    learner = VideoLearner.load(bundle_of_spans, overrides=MACHINE)
    copy = shutil.copy(long_video, tmp_path / "copy.mp4")
    with pytest.raises(DataError, match=r"a clip was taught before: left/copy.mp4 0.000-1.120 s \(for 'left'\)"):
        learner.learn(_spans(Path(copy), 1), more_of_known=True)
    between = LabelledSpan(long_video, Segment(0.5, 1.5), "up")
    other = LabelledSpan(long_video, Segment(2.5, 3.5), "up")
    assert learner.learn([between, other]).clips == (2,)


def test_a_long_file_is_looked_through_and_hashed_once_for_all_its_spans(
    long_video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    essential.video.decode._kept_survey.cache_clear()
    essential.video.frame_folder._kept_identity.cache_clear()
    counts = {"surveys": 0, "hashes": 0}
    survey, identity = essential.video.decode.survey_file, essential.video.frame_folder.identity_of

    def surveyed(path: Path) -> object:
        counts["surveys"] += 1
        return survey(path)

    def identified(path: Path) -> object:
        counts["hashes"] += 1
        return identity(path)

    monkeypatch.setattr(essential.video.decode, "survey_file", surveyed)
    monkeypatch.setattr(essential.video.frame_folder, "identity_of", identified)
    learner = VideoLearner(encoder="tiny", overrides=[*MACHINE, "features.workers=0"])
    learner.learn(_spans(long_video, 6))
    assert counts == {"surveys": 1, "hashes": 1}


def test_spans_without_a_label_are_passed_over_and_conflicts_refused(long_video: Path) -> None:
    one, other, *_ = _spans(long_video)
    given = clips_by_class([one, LabelledSpan(long_video, other.segment, None)])
    assert given.videos == {"left": [one]}
    assert given.line == "not taken: 1 spans of no class"
    with pytest.raises(DataError, match="is there twice: span 1, and span 2"):
        clips_by_class([one, one])
    with pytest.raises(DataError, match="no span has a label"):
        clips_by_class([])


def test_long_spans_are_cut_into_windows_that_end_with_them() -> None:
    span = LabelledSpan(Path("a.mp4"), Segment(10.0, 15.0), "left")
    short = LabelledSpan(Path("a.mp4"), Segment(20.0, 21.0), "right")
    cut = cut_spans([span, short], window_seconds=2.0)
    assert [(tuple(each.segment), each.label) for each in cut] == [
        ((10.0, 12.0), "left"),
        ((12.0, 14.0), "left"),
        ((13.0, 15.0), "left"),
        ((20.0, 21.0), "right"),
    ]
    with pytest.raises(ConfigError, match=r"windows of 0 s|windows of 0.0 s"):
        cut_spans([span], window_seconds=0.0)


def test_a_window_that_two_spans_share_is_given_once() -> None:
    spans = [LabelledSpan(Path("a.mp4"), Segment(start, start + 0.6), "wave") for start in (0.1, 0.3)]
    cut = cut_spans(spans, window_seconds=0.2)
    assert [span.segment for span in cut] == [(0.1, 0.3), (0.3, 0.5), (0.5, 0.7), (0.7, 0.9)]
    assert len(clips_by_class(cut).videos["wave"]) == 4


@pytest.mark.numeric
def test_labelled_spans_are_compared_with_what_is_found(bundle_of_spans: Path, long_video: Path) -> None:
    learner = VideoLearner.load(bundle_of_spans, overrides=MACHINE)
    unknown = LabelledSpan(long_video, Segment(0, SECONDS), "jumping")
    results = learner.test_spans([*_spans(long_video)[1:], unknown], window_seconds=SECONDS, stride_seconds=SECONDS / 4)
    said = results.as_json()
    assert said["labelled"] == 19
    assert said["predicted"] == sum(span.label is not None for span in results.found)
    assert said["right"] == sum(each["right"] for each in said["per_class"].values())
    assert said["f1"] == pytest.approx(2 * said["right"] / (said["predicted"] + 19))
    assert results.not_known == ("jumping",)
    assert all((span["label"] is None) is span["unknown"] is ("closest" in span) for span in said["found"])
    assert all(((span["unknown_score"] or 0) > 1) is span["unknown"] for span in said["found"])


def test_spans_that_cannot_be_compared_are_refused_before_a_video_is_read(bundle_of_spans: Path) -> None:
    learner = VideoLearner.load(bundle_of_spans, overrides=MACHINE)
    spans = _spans(Path("gone.mp4"), 2)
    with pytest.raises(ConfigError, match=r"an overlap of 1\.5"):
        learner.test_spans(spans, window_seconds=1.0, overlap=1.5)
    with pytest.raises(DataError, match="no span has a label that is known; the labels are 'jumping'"):
        learner.test_spans([LabelledSpan(Path("gone.mp4"), Segment(0, 1), "jumping")], window_seconds=1.0)
    with pytest.raises(DataError, match="use test_spans"):
        learner.test(clips_by_class(spans))
