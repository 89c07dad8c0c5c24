"""Ctrl-C says how to continue; a reader that goes away is no error."""

import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from essential import VideoLearner
from essential.learner.bundle import Bundle
from in_process import Essential
from taught import MACHINE


@pytest.mark.parametrize(
    ("command", "work", "text"),
    [
        (("train", "--out", "run"), "essential.engine.run.train", "To continue, run the same command with --resume."),
        (("demo",), "essential.engine.run.train", "To continue, run the same command again."),
        (
            ("data", "make", "moving-digits", "--out", "d"),
            "essential.protocols.moving_digits.make_moving_digits",
            "To continue, run the same command again.",
        ),
        (
            ("learn", "--into", "b", "--videos", "."),
            "essential.learner.clips.clips_by_class",
            "The bundle is unchanged.",
        ),
        (("forget", "b", "up"), "essential.learner.clips.refuse_missing", "The bundle is unchanged."),
        (("classes", "b"), "essential.learner.bundle.Bundle.read", ""),
    ],
)
def test_ctrl_c_says_how_to_continue(
    command: tuple[str, ...], work: str, text: str, monkeypatch: pytest.MonkeyPatch, essential: Essential
) -> None:
    def stop(*_: object, **__: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(work, stop)
    outcome = essential(*command)
    assert (outcome.code, outcome.out) == (130, "")
    assert outcome.err.removeprefix("== essential\n") == f"Stopped. {text}".rstrip() + "\n"


@pytest.mark.parametrize("command", ["learn", "forget"])
@pytest.mark.parametrize(
    ("is_saved", "text"), [(False, "The bundle is unchanged."), (True, "The bundle has the change.")]
)
def test_ctrl_c_says_whether_the_bundle_was_written(
    command: str, is_saved: bool, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, essential: Essential
) -> None:
    bundle = tmp_path / "a.bundle"
    clip = tmp_path / "clips" / "up" / "a.mp4"
    clip.parent.mkdir(parents=True)
    clip.touch()
    learner = VideoLearner(method="slda", feature_dim=3, overrides=["video.frames=4", *MACHINE])
    learner.learn_features(dict(zip("ab", np.random.default_rng(0).random((2, 2, 4, 3)), strict=True)))
    learner.save(bundle)
    save, before = VideoLearner.save, bundle.read_bytes()

    def stop(self: VideoLearner, path: Path) -> NoReturn:
        if is_saved:
            save(self, path)
        raise KeyboardInterrupt

    def learn(self: VideoLearner, *_: object, **__: object) -> None:
        self.forget("a")

    monkeypatch.setattr(VideoLearner, "save", stop)
    monkeypatch.setattr(VideoLearner, "learn", learn)
    arguments = {"learn": ("--into", bundle, "--videos", tmp_path / "clips"), "forget": (bundle, "a")}
    outcome = essential(command, *arguments[command])
    assert (outcome.code, outcome.out, outcome.err) == (130, "", f"Stopped. {text}\n")
    assert (bundle.read_bytes() != before) == is_saved
    assert sorted(Bundle.read(bundle).model.classes) == (["b"] if is_saved else ["a", "b"])


def test_a_reader_that_goes_away_is_no_error() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "essential", "configs"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait() != 2
