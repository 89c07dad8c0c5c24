"""What the shipped weights must be able to do, and the script that makes them."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from essential.encoders import EncoderConfig, build_encoder
from essential.encoders.tiny import TINY_WEIGHTS
from essential.protocols.digit_frames import Trajectory, draw_frames, draw_scene, scans
from essential.seeding import numpy_generator
from essential.video.views import plain_view

SCRIPT = Path(__file__).parents[2] / "scripts" / "train_tiny_encoder.py"


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    specification = importlib.util.spec_from_file_location("train_tiny_encoder", SCRIPT)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["train_tiny_encoder"] = module  # a dataclass looks itself up there
    specification.loader.exec_module(module)
    yield module
    del sys.modules["train_tiny_encoder"]
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(1)


def random_frames(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return frames of test scans in random poses, with their digits (2, 3, 4) and poses (x, y, log size, angle)."""
    frames, digits, poses = [], [], []
    for index in range(count):
        generator = numpy_generator("random frames", index)
        digit = int(generator.integers(2, 5))
        pose = generator.uniform([0.35, 0.35, np.log(0.4), -0.7], [0.65, 0.65, np.log(0.7), 0.7])
        choices = scans(digit, "test")
        scan = choices[generator.integers(len(choices))]
        trajectory = Trajectory(*(np.array([value]) for value in (*pose, 1.0)))
        frames.append(draw_frames(scan, trajectory, draw_scene(generator, 64), generator)[0])
        digits.append(digit)
        poses.append(pose)
    return np.stack(frames), np.array(digits), np.stack(poses)


def test_weights_are_small_enough_to_ship() -> None:
    assert TINY_WEIGHTS.stat().st_size <= 4_000_000


def test_features_tell_digit_and_pose_and_are_about_standardised() -> None:
    from sklearn.linear_model import LogisticRegression, Ridge

    encoder = build_encoder(EncoderConfig())
    frames, digits, poses = random_frames(600)
    features = encoder(plain_view(frames, encoder.pixel_format)[None])[0].numpy()
    assert abs(features.mean()) < 0.2
    assert 0.7 < features.std() < 1.3
    naming = LogisticRegression(max_iter=1000).fit(features[:400], digits[:400])
    assert naming.score(features[400:], digits[400:]) > 0.9
    for axis in range(4):
        placing = Ridge(10.0).fit(features[:400], poses[:400, axis])
        assert placing.score(features[400:], poses[400:, axis]) > 0.85


def _rms(tensor: torch.Tensor) -> float:
    return float(tensor.square().mean().sqrt())


@pytest.mark.numeric
def test_folding_changes_nothing_but_the_scale(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    trainee = script.Trainee()
    examples = script.draw_examples(12)
    trainee.train()
    trainee.features(script.to_pixels(examples.frames))  # gives the batch norms something to fold
    trainee.eval()
    pixels = script.to_pixels(examples.frames)
    with torch.no_grad():
        before = trainee.features(pixels)
        shipped = script.fold(trainee, examples).float()(pixels[None])[0]
        monkeypatch.setattr(script.TinyEncoder, "half", lambda encoder: encoder)
        after = script.fold(trainee, examples)(pixels[None])[0]
    std, mean = torch.std_mean(before[::4], dim=0)
    # A float32 is 2^13 times as exact as the half precision that is shipped, of which single features may be 0.1 off.
    torch.testing.assert_close(after, (before - mean) / std, rtol=0, atol=1e-3)
    torch.testing.assert_close(after[::4].mean(0), torch.zeros(128), rtol=0, atol=1e-3)
    assert _rms(shipped - after) < 0.1


@pytest.mark.slow
def test_the_script_gives_the_same_bytes_again(script: ModuleType, tmp_path: Path) -> None:
    for name in ("one", "two"):
        script.main(["--out", str(tmp_path / name), "--clips", "25", "--epochs", "1"])
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert (tmp_path / "one").stat().st_size == pytest.approx(TINY_WEIGHTS.stat().st_size, rel=0.001)


def test_the_script_draws_from_encoder_scans_alone(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def watched(digit: int, scan_set: str) -> np.ndarray:
        asked.append(scan_set)
        return np.asarray(scans(digit, "encoder"))

    monkeypatch.setattr(script, "scans", watched)
    frames, digits, poses, ink = script.draw_clip(0)
    assert set(asked) == {"encoder"}
    assert frames.shape == (12, 64, 64, 3)
    assert digits.shape == (12,)
    assert poses.shape == (12, 5)
    assert ink.shape == (12, 256)
