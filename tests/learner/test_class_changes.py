"""A class under another name, and two that become one: in answers, in the file, in lessons, on the command line."""

from pathlib import Path

import numpy as np
import pytest
from test_learner_features import clips_of, features_learner

from essential import VideoLearner
from essential.errors import DataError
from essential.export import export_bundle
from essential.learner.bundle import Bundle, Lesson
from essential.learner.calibration import label_probabilities
from in_process import Essential
from taught import MACHINE, Clips

NEW = "wavin\u01f5"
ASKED = np.concatenate([clips_of(label, 3, seed=9) for label in ("left", "right", "up")])


@pytest.fixture
def learner() -> VideoLearner:
    """Return a learner of three classes in two lessons."""
    learner = features_learner()
    learner.learn_features({"left": clips_of("left"), "right": clips_of("right", 20)})
    learner.learn_features({"up": clips_of("up")})
    return learner


def test_a_new_name_changes_no_number_and_is_kept(learner: VideoLearner, tmp_path: Path) -> None:
    before = learner.predict_proba(ASKED)
    learner.rename("left", "  waving\u0301 ")
    assert learner.classes == (NEW, "right", "up")
    learner.save(tmp_path / "a.bundle")
    for each in (learner, VideoLearner.load(tmp_path / "a.bundle", overrides=MACHINE)):
        np.testing.assert_array_equal(each.predict_proba(ASKED), before)
        assert [lesson.classes for lesson in each.lessons] == [(NEW, "right"), ("up",)]
        assert each.recognised.keys() == {NEW, "right", "up"}
        with pytest.raises(DataError, match="taught before: left/0 \\(for 'wavin\u01f5'"):
            each.learn_features({"left": clips_of("left")})
    learner.forget(NEW)
    assert learner.classes == ("right", "up")


def test_a_merged_class_has_the_sum_of_both_probabilities(learner: VideoLearner, tmp_path: Path) -> None:
    before = learner.labelled_predictor
    learner.rename("left", "up", merge=True)
    assert learner.classes == ("up", "right")
    merged = learner.labelled_predictor
    np.testing.assert_array_equal(merged.scores(ASKED), before.scores(ASKED))
    _, apart = label_probabilities(merged.scores(ASKED), before.labels, merged.temperature)
    wanted = np.stack([apart[:, 0] + apart[:, 2], apart[:, 1]], axis=1)
    np.testing.assert_allclose(learner.predict_proba(ASKED), wanted)
    assert [answer.label for answer in learner.predict_features(ASKED)] == ["up"] * 3 + ["right"] * 3 + ["up"] * 3
    assert learner.recognised == {"up": (4, 4), "right": (4, 4)}
    learner.save(tmp_path / "a.bundle")
    again = VideoLearner.load(tmp_path / "a.bundle", overrides=MACHINE)
    np.testing.assert_array_equal(again.predict_proba(ASKED), learner.predict_proba(ASKED))
    # Both slots are one class: it gets further clips, and is forgotten whole.
    again.learn_features({"up": clips_of("left", 3, seed=4)}, more_of_known=True)
    again.forget("up")
    assert again.classes == ("right",)
    assert again.held_out.slots.unique().tolist() == [1]


def test_a_merged_class_is_exported_as_one(clips: Clips, taught_bundle: Path, tmp_path: Path) -> None:
    learner = VideoLearner.load(taught_bundle, overrides=MACHINE)
    learner.learn(clips.to_teach("up"))
    learner.rename("right", "left", merge=True)
    learner.save(tmp_path / "m.bundle")
    made = export_bundle(tmp_path / "m.bundle", tmp_path / "m.pt2", takes="features", overrides=MACHINE)
    assert made.labels == ("left", "up")
    assert made.worst_difference < 1e-4


def test_two_classes_of_one_lesson_become_one_of_it() -> None:
    skipped = {"a/1.mp4": "cut", "b/1.mp4": "empty", "ab/2.mp4": "odd"}
    lesson = Lesson(("b", None, "a", None), (2, 3, 4, 5), 1, skipped, 0.5)
    merged = lesson.renamed("a", "b")
    assert (merged.classes, merged.clips) == (("b", None, None), (6, 3, 5))
    assert sorted(merged.skipped.values()) == ["cut", "empty", "odd"]
    assert not any(key.startswith("a/") for key in merged.skipped)
    assert merged.without("b").skipped == {"ab/2.mp4": "odd"}


@pytest.mark.parametrize(
    ("name", "to", "merge", "words"),
    [
        ("down", "waving", False, "there is no class 'down'; known: 'left', 'right', 'up'"),
        ("left", "", False, "'' is no name for a class"),
        ("left", "two\nlines", False, "holds the character U\\+000A"),
        ("left", "None of these", False, "it is what is answered for a clip of no class"),
        ("left", "left ", False, "the class 'left' has that name already"),
        ("left", "right", False, "the class 'right' is known already.*--merge"),
        ("left", "rihgt", True, "there is no class 'rihgt' to merge 'left' with"),
        ("left", "left", True, "the class 'left' has that name already"),
    ],
)
def test_what_cannot_be_renamed_is_refused(learner: VideoLearner, name: str, to: str, merge: bool, words: str) -> None:
    with pytest.raises(DataError, match=words):
        learner.rename(name, to, merge=merge)
    assert learner.classes == ("left", "right", "up")


def test_the_command_renames_and_merges_without_an_encoder(
    learner: VideoLearner, tmp_path: Path, essential: Essential, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("essential.learner.video_learner.open_encoder", None)
    bundle = tmp_path / "a.bundle"
    learner.save(bundle)
    outcome = essential("rename", bundle, "left", "Up")
    assert (outcome.code, outcome.out) == (0, f"renamed: left -> Up; 3 classes in {bundle}\n")
    assert "'Up' and 'up' differ only in case" in outcome.err
    before = bundle.read_bytes()
    refused = essential("rename", bundle, "Up", "up")
    assert (refused.code, bundle.read_bytes()) == (2, before)
    assert "--merge" in refused.err
    outcome = essential("rename", bundle, "Up", "up", "--merge")
    assert (outcome.code, outcome.out) == (0, f"merged: Up -> up; 2 classes in {bundle}\n")
    assert Bundle.read(bundle).model.classes == ("up", "right")
