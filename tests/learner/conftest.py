"""Clips of four classes, and a learner that was taught two of them."""

from pathlib import Path

import pytest

from essential import VideoLearner
from essential.protocols.moving_digits import MovingDigitsConfig, make_moving_digits
from taught import MACHINE, Clips, new_learner


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    """Return the clips of `2-left`, `2-right`, `2-up` and `2-down`: ten to teach, four to ask."""
    root = tmp_path_factory.mktemp("learner") / "data"
    make_moving_digits(root, MovingDigitsConfig(digits=1, train_clips_per_class=10, test_clips_per_class=4), workers=2)
    return Clips(root)


@pytest.fixture(scope="session")
def taught_bundle(clips: Clips, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the bundle of a learner that knows the first two classes; copy it before you change it."""
    learner = new_learner()
    learner.learn(clips.to_teach("left", "right"))
    path = tmp_path_factory.mktemp("bundle") / "two.bundle"
    learner.save(path)
    return path


@pytest.fixture
def learner(taught_bundle: Path) -> VideoLearner:
    """Return a learner of its own that knows the first two classes."""
    return VideoLearner.load(taught_bundle, overrides=MACHINE)
