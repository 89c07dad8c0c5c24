"""Clips of moving squares, not square themselves, and a bundle that was taught, taught more, and made to forget."""

from pathlib import Path

import numpy as np
import pytest

from essential import VideoLearner
from threads import THREADS
from video_files import Pixels, write_video

_SETTINGS = (
    *("training.epochs=20", "training.batch_size=4", "training.warmup_epochs=1", "method.rehearsal_epochs=15"),
    *("features.views=0", "features.workers=0", f"training.threads={THREADS}", "training.learning_rate=0.005"),
)


def moving_square(*, across: int, seed: int, size: tuple[int, int] = (112, 80)) -> list[Pixels]:
    """Return frames of a bright square that moves from left to right (1), to the left (-1), or stays (0)."""
    draw = np.random.default_rng(seed)
    width, height = size
    ground = draw.integers(20, 110, (height // 8, width // 8, 3), np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    top, frames = int(draw.integers(16, height - 48)), []
    for place in range(24):
        left = width // 2 - 12 + across * (2 * place - 24)
        frame = ground.copy()
        frame[top : top + 24, left : left + 24] = 200 + seed % 40
        frames.append(frame)
    return frames


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Return six clips of each of three classes."""
    root = tmp_path_factory.mktemp("squares")
    return {
        name: [
            write_video(root / name / f"{number}.mp4", moving_square(across=across, seed=10 * number + across))
            for number in range(1, 7)
        ]
        for name, across in (("left", -1), ("still", 0), ("right", 1))
    }


@pytest.fixture(scope="session")
def bundle(clips: dict[str, list[Path]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the bundle of a learner that knows `left` and `right`, and knew `still`."""
    learner = VideoLearner(config="moving-digits/essential", overrides=_SETTINGS)
    learner.learn({"left": clips["left"][:5], "still": clips["still"]})
    learner.learn({"right": clips["right"][:5], "left": clips["left"][5:]}, more_of_known=True)
    learner.forget("still")
    path = tmp_path_factory.mktemp("export") / "squares.bundle"
    learner.save(path)
    return path
