"""A learner from end to end: teach, ask, forget, save, load, teach on without the old clips."""

import pickle
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from essential import VideoLearner
from essential.errors import CheckpointError, ConfigError, DataError
from essential.features.cores import cpu_cores
from essential.features.source import encode_all
from essential.files.sealed import read_sealed
from essential.learner import lesson
from essential.learner.held_out import bytes_of
from essential.memory.ledger import total_by_kind
from essential.progress import Progress
from taught import MACHINE, Clips, new_learner


def _accuracy(learner: VideoLearner, asked: dict[str, list[Path]]) -> float:
    flat = [(name, path) for name, paths in asked.items() for path in paths]
    answers = learner.predict([path for _, path in flat])
    return float(np.mean([answer.label == name for answer, (name, _) in zip(answers, flat, strict=True)]))


def test_a_learner_learns_on_from_its_file_without_the_old_clips(clips: Clips, tmp_path: Path) -> None:
    taught = tmp_path / "taught"
    shutil.copytree(clips.root / "train", taught)
    learner = new_learner("training.epochs=100", "method.rehearsal_epochs=60")
    first = learner.learn(
        {
            name: [taught / p.parent.name / p.name for p in paths]
            for name, paths in clips.to_teach("left", "right").items()
        }
    )
    assert (first.classes, first.clips, first.held_out) == (("left", "right"), (10, 10), 4)
    learner.save(tmp_path / "a.bundle")
    shutil.rmtree(taught)
    loaded = VideoLearner.load(tmp_path / "a.bundle", overrides=MACHINE)
    loaded.learn(clips.to_teach("up", "down"))
    assert loaded.classes == ("left", "right", "up", "down")
    assert len(loaded.lessons) == 2
    # Eight clips of a class are few; a guess is right in a quarter of the cases.
    assert _accuracy(loaded, clips.to_ask("left", "right", "up", "down")) >= 0.4


def test_saving_and_loading_changes_nothing(learner: VideoLearner, clips: Clips, tmp_path: Path) -> None:
    asked = [path for paths in clips.to_ask("left", "right", "grow").values() for path in paths]
    learner.save(tmp_path / "b.bundle")
    again = VideoLearner.load(tmp_path / "b.bundle", overrides=MACHINE)
    before, after = learner.predict(asked), again.predict(asked)
    assert [answer.as_json() for answer in before] == [answer.as_json() for answer in after]
    for each in (learner, again):
        each.learn(clips.to_teach("up"))
    assert [a.as_json() for a in learner.predict(asked)] == [a.as_json() for a in again.predict(asked)]


def test_a_learner_pickles_and_learns_on_as_the_original(clips: Clips) -> None:
    original = new_learner(method="icarl")
    original.learn(clips.to_teach("left"))
    copied = pickle.loads(pickle.dumps(original))
    for learner in (original, copied):
        learner.learn(clips.to_teach("right"))
    asked = [path for paths in clips.to_ask("left", "right").values() for path in paths]
    assert [one.as_json() for one in copied.predict(asked)] == [one.as_json() for one in original.predict(asked)]


def test_answers_have_probabilities_and_say_what_is_unknown(learner: VideoLearner, clips: Clips) -> None:
    asked = [path for paths in clips.to_ask("left", "right").values() for path in paths]
    answers = learner.predict(asked, top_k=2)
    for answer in answers:
        assert [scored.score for scored in answer.top] == sorted((s.score for s in answer.top), reverse=True)
        assert sum(scored.score for scored in answer.top) == pytest.approx(1)
    assert len(learner.predict(asked[0], top_k=1)[0].top) == 1
    strange = [path for paths in clips.to_ask("grow", "turn-left").values() for path in paths]
    known = np.mean([answer.unknown_score for answer in answers])
    assert np.mean([answer.unknown_score for answer in learner.predict(strange)]) > known


def test_paths_are_answered_as_they_come(learner: VideoLearner, clips: Clips) -> None:
    asked = clips.to_ask("left")["left"]
    drawn = 0

    def endless() -> Iterator[Path]:
        nonlocal drawn
        while True:
            drawn += 1
            yield asked[drawn % len(asked)]

    stream = learner.stream(endless())
    answers = [next(stream) for _ in range(6)]
    stream.close()  # type: ignore[attr-defined]
    assert {answer.path for answer in answers} == set(asked)
    assert drawn <= 6 + 4 * cpu_cores()


def test_frames_are_those_that_the_encoder_saw(learner: VideoLearner, clips: Clips) -> None:
    (answer,) = learner.stream([clips.to_ask("left")["left"][0]], with_frames=True)
    assert answer.frames is not None
    assert answer.frames.shape == (8, 64, 64, 3)
    assert answer.frames.dtype == np.uint8
    assert answer.frames.std() > 5
    (plain,) = learner.predict(answer.path)
    assert plain.frames is None


def test_a_clip_that_cannot_be_read_is_answered_with_the_reason(
    learner: VideoLearner, clips: Clips, tmp_path: Path
) -> None:
    whole = clips.to_ask("left")["left"][0]
    empty, text, gone = tmp_path / "empty.mp4", tmp_path / "text.mp4", tmp_path / "gone.mp4"
    linked = tmp_path / "linked.mp4"
    linked.symlink_to(gone)
    empty.write_bytes(b"")
    text.write_text("no video")
    answers = {answer.path: answer for answer in learner.predict([empty, whole, text, gone, linked])}
    assert answers[whole].label is not None
    assert answers[empty].error == "it is empty (0 bytes)"
    assert "not a video" in str(answers[text].error)
    assert answers[gone].error == "there is no such file"
    assert answers[linked].error == "it is a link to nothing, its content not fetched"
    assert str(tmp_path) not in " ".join(str(answer.error) for answer in answers.values())


def test_nothing_is_answered_before_anything_is_taught(clips: Clips) -> None:
    with pytest.raises(DataError, match="nothing was taught yet"):
        new_learner().predict(clips.to_ask("left")["left"])


def test_a_known_class_is_taught_more_on_purpose_alone(learner: VideoLearner, clips: Clips) -> None:
    # A digit grows: no clip of it was taught.
    more = clips.to_teach("grow")["grow"]
    with pytest.raises(DataError, match="'left'"):
        learner.learn({"left": more[:5]})
    lesson = learner.learn({"left": more[:5]}, more_of_known=True)
    assert lesson.clips == (5,)
    assert learner.classes == ("left", "right")
    (answer,) = learner.predict(more[0])
    assert {scored.label for scored in answer.top} == {"left", "right"}
    assert sum(scored.score for scored in answer.top) == pytest.approx(1)
    # What judges the learner is not learned from.
    assert lesson.held_out == 0 or learner.held_out.slots.tolist().count(2) <= 4 - 2
    with pytest.raises(DataError, match="5 clips were taught before"):
        learner.learn({"left": more[:5]}, more_of_known=True)
    learner.forget("left")
    assert learner.classes == ("right",)
    assert [name for each in learner.lessons for name in each.classes if name] == ["right"]


def test_a_forgotten_class_is_gone_from_memory_and_answers(learner: VideoLearner, clips: Clips, tmp_path: Path) -> None:
    learner.learn(clips.to_teach("up"))
    before = total_by_kind(learner.memory)["episodic"]
    learner.forget("left")
    assert learner.classes == ("right", "up")
    assert total_by_kind(learner.memory)["episodic"] < before
    learner.save(tmp_path / "c.bundle")
    again = VideoLearner.load(tmp_path / "c.bundle", overrides=MACHINE)
    for each in (learner, again):
        answers = each.predict(clips.to_ask("left")["left"])
        assert all(scored.label != "left" for answer in answers for scored in answer.top)
    assert b"left" not in (tmp_path / "c.bundle").read_bytes()
    with pytest.raises(DataError, match="there is no class 'left'; known: 'right', 'up'"):
        learner.forget("left")
    again.learn(clips.to_teach("left"))
    assert again.classes == ("right", "up", "left")
    assert any(scored.label == "left" for scored in again.predict(clips.to_ask("left")["left"][0])[0].top)


def test_what_stops_a_lesson_leaves_the_learner_as_it_was(learner: VideoLearner, clips: Clips, tmp_path: Path) -> None:
    asked = clips.to_ask("left")["left"]
    before = [answer.as_json() for answer in learner.predict(asked)]
    broken = tmp_path / "broken.mp4"
    broken.write_text("no video")
    with pytest.raises(DataError, match=r"up/broken\.mp4"):
        learner.learn({"up": [*clips.to_teach("up")["up"], broken]})

    class Stops(Progress):
        def start(self, title: str, total: int) -> None:  # noqa: ARG002
            if title == "learn: rehearsal":
                raise KeyboardInterrupt

    learner._progress = Stops()
    with pytest.raises(KeyboardInterrupt):
        learner.learn(clips.to_teach("up"))
    assert learner.classes == ("left", "right")
    assert [answer.as_json() for answer in learner.predict(asked)] == before


def test_a_broken_clip_is_left_out_by_name_if_the_config_says_so(clips: Clips, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_text("no video")
    learner = new_learner("features.on_broken_video=skip")
    lesson = learner.learn({**clips.to_teach("left"), "right": [*clips.to_teach("right")["right"][:6], broken]})
    assert lesson.clips == (10, 6)
    assert list(lesson.skipped) == ["right/broken.mp4"]
    with pytest.raises(DataError, match="no clip of 'up' can be read"):
        learner.learn({"up": [broken]})


def test_a_clip_in_two_classes_is_refused_also_under_another_name(clips: Clips, tmp_path: Path) -> None:
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(clips.to_teach("left")["left"][0].read_bytes())
    with pytest.raises(DataError, match="the same clip, in two classes"):
        new_learner().learn({**clips.to_teach("left"), "right": [copy]})


def test_the_budget_caps_all_that_is_kept_of_old_clips(clips: Clips) -> None:
    budget = 60_000
    learner = new_learner(budget_bytes=budget)
    for motions in (("left", "right"), ("up",), ("down",)):
        learner.learn(clips.to_teach(*motions))
        kept = total_by_kind(learner.memory)
        assert kept["total"] - kept["retrieval_modules"] <= budget
    with pytest.raises(ConfigError, match="memory budget"):
        new_learner(budget_bytes=5_000).learn(clips.to_teach("left"))
    with pytest.raises(ConfigError, match="memory_budget_bytes=1000 caps nothing: the method 'lwf' cannot keep less"):
        new_learner(method="lwf", budget_bytes=1000)


def test_statistics_of_a_closed_form_shrink_into_the_budget(clips: Clips) -> None:
    learner = new_learner(method="slda-dct", budget_bytes=20_000)
    for motions in (("left", "right"), ("up",), ("down",)):
        learner.learn(clips.to_teach(*motions))
        assert total_by_kind(learner.memory)["total"] <= 20_000
    assert len(learner.classes) == 4
    with pytest.raises(ConfigError, match=r"method\.budget_bytes: 30 bytes do not hold 1 classes, .* give \d+ or more"):
        new_learner(method="slda-dct", budget_bytes=30).learn(clips.to_teach("left"))


def test_a_class_that_comes_and_goes_leaves_no_trace_in_the_budget(clips: Clips) -> None:
    learner = new_learner("method.rehearsal_epochs=1", "training.epochs=1", budget_bytes=40_000)
    kept = []
    for motion in ("left", "up", "right", "down"):
        learner.learn(clips.to_teach(motion))
        kept.append(len(learner._model.method.memory))
        learner.forget(motion)
        assert len(learner._model.method.memory) == 0
    # The prompts of each lesson take 4 KiB; nothing else is less.
    assert kept[0] - kept[-1] <= 8
    assert kept[-1] >= 4
    assert learner.classes == ()
    with pytest.raises(DataError, match="nothing was taught yet"):
        learner.predict(clips.to_ask("left")["left"])


def test_the_clips_held_out_take_a_quarter_of_the_budget_at_most(clips: Clips) -> None:
    quick = ("method.rehearsal_epochs=1", "training.epochs=1")
    learner = new_learner(*quick, budget_bytes=60_000)
    for motions in (("left", "right"), ("up", "down"), ("grow", "shrink")):
        learner.learn(clips.to_teach(*motions))
    held = learner.held_out
    assert 0 < bytes_of(held) <= 15_000
    counts = held.slots.bincount(minlength=6)
    assert counts.max() - counts.min() <= 1


def test_the_budget_may_be_raised_later_and_nothing_else(clips: Clips, tmp_path: Path) -> None:
    learner = new_learner("method.rehearsal_epochs=1", "training.epochs=1", budget_bytes=20_000)
    learner.learn(clips.to_teach("left"))
    learner.save(tmp_path / "small.bundle")
    raised = VideoLearner.load(tmp_path / "small.bundle", overrides=["method.budget_bytes=90000"])
    raised.learn(clips.to_teach("right", "up"))
    assert total_by_kind(raised.memory)["episodic"] > 20_000
    with pytest.raises(ConfigError, match=r"method\.exemplars_per_class=3: memory_budget_bytes=20000 stands"):
        new_learner("method.exemplars_per_class=3", budget_bytes=20_000)


def test_the_file_holds_what_the_ledger_counts(learner: VideoLearner, tmp_path: Path) -> None:
    learner.save(tmp_path / "d.bundle")
    arrays, _ = read_sealed(tmp_path / "d.bundle", CheckpointError)
    held = sum(array.nbytes for name, array in arrays.items() if name.startswith("held_out."))
    kept = sum(array.nbytes for name, array in arrays.items() if name.startswith("method.memory."))
    entries = {entry.name: entry.bytes for entry in learner.memory if entry.kind == "episodic"}
    assert held == entries.pop("clips held out for calibration")
    entries.pop("file header")
    # Positions, slots and tasks have their places in the state too.
    assert kept == sum(entries.values())


@pytest.mark.parametrize("method", ["replay", "bic", "icarl", "lwf", "slda-temporal"])
def test_the_newest_class_can_be_forgotten_and_another_taught(method: str, clips: Clips) -> None:
    epochs = ["training.epochs=1"] + (["method.rehearsal_epochs=1"] if method == "replay" else [])
    learner = new_learner(*epochs, method=method)
    learner.learn(clips.to_teach("left", "right"))
    learner.learn(clips.to_teach("up"))
    learner.forget("up")
    learner.learn(clips.to_teach("down"))
    assert learner.classes == ("left", "right", "down")
    (answer,) = learner.predict(clips.to_ask("up")["up"][0])
    assert {scored.label for scored in answer.top} == {"left", "right", "down"}


@pytest.mark.parametrize("method", ["icarl", "bic", "slda-temporal", "replay-vclimb", "finetune"])
def test_other_methods_teach_too(method: str, clips: Clips) -> None:
    learner = new_learner(method=method)
    learner.learn(clips.to_teach("left", "up"))
    learner.learn(clips.to_teach("right"))
    answers = learner.predict(clips.to_ask("right")["right"])
    assert all(sum(scored.score for scored in answer.top) == pytest.approx(1) for answer in answers)
    # Without exemplars the few clips held out do not tell the unknown.
    told = [answer.unknown_score for answer in answers if answer.unknown_score is not None]
    assert len(told) == (len(answers) if len(learner._model.method.memory) else 0)
    assert np.isfinite(told).all()


def test_a_method_that_needs_the_old_clips_is_refused() -> None:
    with pytest.raises(ConfigError, match="'joint' needs all old clips again"):
        new_learner(method="joint")


def test_few_clips_are_all_learned_from_and_nothing_is_called_unknown(clips: Clips) -> None:
    learner = new_learner()
    few = {name: paths[:3] for name, paths in clips.to_teach("left", "up").items()}
    lesson = learner.learn(few)
    assert (lesson.held_out, lesson.held_out_accuracy) == (0, None)
    (answer,) = learner.predict(few["left"][0])
    assert answer.unknown is None
    assert answer.label in ("left", "up")


@pytest.mark.numeric
def test_spans_of_a_long_video_name_what_is_shown_when(learner: VideoLearner, clips: Clips) -> None:
    path = clips.to_ask("left")["left"][0]
    whole = learner.predict_spans(path, window_seconds=60.0)
    assert len(whole) == 1
    (answer,) = learner.predict(path)
    assert whole[0].label == (None if answer.unknown else answer.label)
    assert whole[0].score == pytest.approx(answer.score, abs=1e-5)
    spans = learner.predict_spans(path, window_seconds=0.4, stride_seconds=0.1)
    assert spans[0].segment.start_seconds == 0
    for one, other in pairwise(spans):
        assert one.segment.end_seconds == other.segment.start_seconds
        assert one.label != other.label
    assert spans[-1].segment.end_seconds == pytest.approx(whole[0].segment.end_seconds)


@pytest.mark.parametrize(("method", "views"), [("slda", (0,)), ("finetune", (0, 1, 2))])
def test_augmented_views_are_made_for_methods_that_train_alone(
    clips: Clips, monkeypatch: pytest.MonkeyPatch, method: str, views: tuple[int, ...]
) -> None:
    asked = []

    def read(*arguments: Any, **more: Any) -> Any:
        asked.append(arguments[1].view_numbers)
        return encode_all(*arguments, **more)

    monkeypatch.setattr(lesson, "encode_all", read)
    new_learner("features.views=2", "training.epochs=1", method=method).learn(clips.to_teach("left", "right"))
    assert asked == [views]
