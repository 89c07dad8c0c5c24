"""Arrays of features: learned and predicted as those of videos are, and refused by name where they do not fit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from essential import VideoLearner
from essential.errors import BundleError, ConfigError, DataError, TrainingError
from essential.export import export_bundle
from essential.learner.bundle import Bundle
from essential.learner.lesson import read_clips
from essential.progress import Progress
from taught import MACHINE, Clips, new_learner

FRAMES, DIM = 4, 16
SETTINGS = (f"video.frames={FRAMES}", *MACHINE)


def clips_of(label: str, count: int = 12, *, seed: int = 0, dim: int = DIM) -> np.ndarray:
    """Return clips of a class: its own direction, with noise."""
    direction = np.random.default_rng(sum(label.encode())).standard_normal(dim)
    noise = np.random.default_rng(seed).standard_normal((count, FRAMES, dim))
    return (3 * direction + noise).astype(np.float32)


def features_learner(method: str = "slda", *overrides: str, **settings: Any) -> VideoLearner:
    """Return a learner without an encoder."""
    return VideoLearner(feature_dim=DIM, method=method, overrides=[*SETTINGS, *overrides], **settings)


@pytest.fixture
def learner() -> VideoLearner:
    """Return a learner that knows two classes from features."""
    learner = features_learner()
    learner.learn_features({"left": clips_of("left"), "right": clips_of("right")})
    return learner


def test_features_are_learned_predicted_and_kept_without_an_encoder(learner: VideoLearner, tmp_path: Path) -> None:
    lesson = learner.learn_features({"up": clips_of("up", 20)})
    assert (lesson.classes, lesson.clips, lesson.held_out) == (("up",), (20,), 4)
    learner.save(tmp_path / "f.bundle")
    asked = np.concatenate([clips_of(label, 3, seed=9) for label in ("up", "left", "right")])
    again = VideoLearner.load(tmp_path / "f.bundle", overrides=MACHINE)
    for each in (learner, again):
        predictions = each.predict_features(asked, top_k=2)
        assert [answer.label for answer in predictions] == ["up"] * 3 + ["left"] * 3 + ["right"] * 3
        assert [str(answer.path) for answer in predictions[:2]] == ["0", "1"]
        assert {len(answer.top) for answer in predictions} == {2}
        probabilities = each.predict_proba(asked)
        assert probabilities.shape == (9, 3)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1)
        assert [each.classes[place] for place in probabilities.argmax(axis=1)] == [one.label for one in predictions]
    assert Bundle.read(tmp_path / "f.bundle").encoder.name == "features"
    assert learner.recognised.keys() == {"left", "right", "up"}
    assert sum(of for _, of in learner.recognised.values()) == len(learner.held_out.slots)


@pytest.mark.parametrize("method", ["icarl", "slda"])
def test_labelled_rows_are_the_same_as_arrays_by_class(method: str) -> None:
    quick = ("training.epochs=2", "training.batch_size=8")
    one, other = features_learner(method, *quick), features_learner(method, *quick)
    one.learn_features({"b": clips_of("b"), "a": clips_of("a")})
    rows, labels = np.concatenate([clips_of("b"), clips_of("a")]), ["b"] * 12 + ["a"] * 12
    order = np.argsort(np.arange(24) % 12, kind="stable")  # b, a, b, a, ...
    other.learn_features(torch.from_numpy(rows[order]), [labels[place] for place in order])
    assert one.classes == other.classes == ("b", "a")
    asked = clips_of("a", 5, seed=3)
    np.testing.assert_array_equal(one.predict_proba(asked), other.predict_proba(asked))


def test_features_of_videos_are_learned_as_the_videos_are(clips: Clips) -> None:
    of_videos, of_features = new_learner(method="icarl"), new_learner(method="icarl")
    given = clips.to_teach("left", "up")
    read = read_clips(
        given, first_slot=0, recipe=of_videos._recipe(), config=of_videos.config.features, progress=Progress()
    )
    rows = [np.flatnonzero(read.places == place) for place in range(2)]
    of_videos.learn(given)
    lesson = of_features.learn_features({name: read.view(own, 0) for name, own in zip(given, rows, strict=True)})
    assert lesson == of_videos.lessons[0]
    np.testing.assert_array_equal(of_features.held_out.features, of_videos.held_out.features)
    one, other = (each.labelled_predictor.predictor.state_dict() for each in (of_videos, of_features))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_known_classes_get_further_clips_on_purpose_alone(learner: VideoLearner) -> None:
    with pytest.raises(DataError, match=r"the class is known already: 'left'.*more_of_known=True"):
        learner.learn_features({"left": clips_of("left", seed=1)})
    learner.learn_features({"left": clips_of("left", seed=1)}, more_of_known=True)
    assert learner.classes == ("left", "right")
    assert learner.predict_proba(clips_of("left", 2, seed=5)).shape == (2, 2)
    with pytest.raises(DataError, match=r"12 clips were taught before: up/0 \(for 'left'\)"):
        learner.learn_features({"up": clips_of("left", seed=1)})
    learner.forget("left")
    assert learner.classes == ("right",)


@pytest.mark.parametrize(
    ("features", "labels", "words"),
    [
        ({}, None, "there is no class to learn"),
        ({"a": clips_of("a", 0)}, None, "no clip is given for the class 'a'"),
        ({"a": clips_of("a")[:, :2]}, None, r"features of 'a'.*has clips of \(2, 16\) \(frames, dim\).*\(4, 16\)"),
        ({"a": clips_of("a", dim=8)}, None, r"features of 'a'.*\(4, 8\)"),
        ({"a": clips_of("a")[0]}, None, r"features of 'a'.*\(4, 16\)"),
        ({"a": clips_of("a").astype(int)}, None, "features of 'a'.*int64"),
        ({"a": clips_of("a").astype(object)}, None, "features of 'a'.*object"),
        ({"a": clips_of("a").tolist()}, None, "features of 'a'.*list"),
        ({"a": np.where(np.arange(12)[:, None, None] == 3, np.nan, clips_of("a"))}, None, "features of 'a'.*nan"),
        ({"a": np.full((2, FRAMES, DIM), 1e39)}, None, r"features of 'a'.*1e\+39"),
        ({"": clips_of("a")}, None, "'' is no name for a class"),
        ({3: clips_of("a")}, None, "3 is no name for a class"),
        (clips_of("a"), None, "features without labels"),
        ({"a": clips_of("a")}, ["a"] * 12, "features without labels, or with two"),
        (clips_of("a"), ["a"] * 11, "labels.*11 labels.*12 clips"),
        (clips_of("a"), list(range(12)), "0 is no name for a class"),
        ({"a": np.repeat(clips_of("a", 1), 2, axis=0)}, None, "a/0 and a/1 are the same clip; take one of them out"),
        ({"a": clips_of("a"), "b": clips_of("a")}, None, "a/0 and b/0 are the same clip, in two classes"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_what_cannot_be_learned_is_refused_by_name(features: Any, labels: Any, words: str) -> None:
    learner = features_learner()
    with pytest.raises(DataError, match=words):
        learner.learn_features(features, labels)
    assert learner.classes == ()


@pytest.mark.parametrize("use", [VideoLearner.predict_features, VideoLearner.predict_proba])
def test_what_cannot_be_predicted_is_refused(use: Callable[..., object], learner: VideoLearner) -> None:
    with pytest.raises(DataError, match="nothing was taught yet"):
        use(features_learner(), clips_of("a"))
    with pytest.raises(DataError, match=r"features: has clips of \(4, 8\)"):
        use(learner, clips_of("a", dim=8))
    with pytest.raises(ConfigError, match="top_k=0"):
        learner.predict_features(clips_of("a"), top_k=0)
    assert len(use(learner, clips_of("a", 0))) == 0  # type: ignore[arg-type]


def test_without_an_encoder_no_video_is_read(learner: VideoLearner, clips: Clips, tmp_path: Path) -> None:
    learner.save(tmp_path / "f.bundle")
    path = clips.to_ask("left")["left"][0]
    for use in (
        lambda: learner.learn({"up": [path]}),
        lambda: learner.predict(path),
        lambda: learner.predict_spans(path, window_seconds=1.0),
        lambda: export_bundle(tmp_path / "f.bundle", tmp_path / "f.pt2"),
    ):
        with pytest.raises(ConfigError, match=r"features of 16 numbers, and has no encoder .*use learn_features"):
            use()


def test_settings_that_contradict_each_other_are_refused(learner: VideoLearner, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="give encoder or feature_dim"):
        VideoLearner(encoder="tiny", feature_dim=DIM)
    for dim in (0, -1, 1.5, True):
        with pytest.raises(ConfigError, match=r"feature_dim=.* is not allowed"):
            VideoLearner(feature_dim=dim)  # type: ignore[arg-type]
    learner.save(tmp_path / "f.bundle")
    with pytest.raises(ConfigError, match="a bundle's settings are fixed"):
        VideoLearner(bundle=Bundle.read(tmp_path / "f.bundle"), method="icarl")


def test_a_loss_that_is_not_finite_leaves_the_learner_as_it_was() -> None:
    learner = features_learner("finetune", "training.epochs=2", held_out_per_class=0)
    learner.learn_features({"a": clips_of("a")})
    with pytest.raises(TrainingError, match=r"loss is not finite.*the learner is as it was before; lower training"):
        learner.learn_features({"b": clips_of("b") * np.float32(1e36)})
    assert learner.classes == ("a",)


def test_an_error_in_a_lesson_of_a_loaded_bundle_is_not_called_damage(
    learner: VideoLearner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner.save(tmp_path / "f.bundle")
    loaded = VideoLearner.load(tmp_path / "f.bundle", overrides=MACHINE)

    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr("essential.learner.model.build_labelled_predictor", fails)
    with pytest.raises(RuntimeError, match="a fault of ours"):
        loaded.learn_features({"up": clips_of("up")})
    # What a stranger's numbers do when they are first used is damage.
    with pytest.raises(BundleError, match=r"f\.bundle .*a fault of ours"):
        loaded.predict_features(clips_of("up"))


@pytest.mark.parametrize(("method", "overrides"), [("icarl", ()), ("icarl-tc", ("method.frames=2",))])
def test_two_learners_of_one_bundle_do_not_share_what_they_forget(
    method: str, overrides: tuple[str, ...], tmp_path: Path
) -> None:
    learner = features_learner(method, "training.epochs=1", *overrides)
    learner.learn_features({"a": clips_of("a"), "b": clips_of("b")})
    learner.save(tmp_path / "f.bundle")
    read = Bundle.read(tmp_path / "f.bundle", MACHINE)
    one, other = VideoLearner(bundle=read), VideoLearner(bundle=read)
    one.forget("a")
    assert (one.classes, other.classes) == (("b",), ("a", "b"))
    assert one.memory != other.memory == learner.memory


def test_numbers_of_numpy_are_taken_and_kept(tmp_path: Path) -> None:
    learner = features_learner("icarl", held_out_per_class=np.int32(2), memory_budget_bytes=np.int64(10**6))
    again = VideoLearner(feature_dim=np.int64(DIM), method="slda", overrides=SETTINGS)  # type: ignore[arg-type]
    for each in (learner, again):
        each.save(tmp_path / "f.bundle")
        assert Bundle.read(tmp_path / "f.bundle").encoder.dim == DIM


@pytest.mark.parametrize(
    ("where", "remedy", "text"),
    [
        (None, None, "no room; the learner is as it was before"),
        ("task 2", None, "task 2: no room; the learner is as it was before"),
        ("task 2", "wait", "task 2: no room; the learner is as it was before; wait"),
    ],
)
def test_an_error_of_training_keeps_where_it_was_and_what_to_do(
    learner: VideoLearner, monkeypatch: pytest.MonkeyPatch, where: str | None, remedy: str | None, text: str
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise TrainingError("no room", where=where, remedy=remedy)

    monkeypatch.setattr("essential.learner.model.learn_task", fails)
    with pytest.raises(TrainingError) as caught:
        learner.learn_features({"up": clips_of("up")})
    assert str(caught.value) == text
    assert learner.classes == ("left", "right")
