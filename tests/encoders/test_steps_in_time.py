"""Encoders of clips: how many frames they read, and how their steps in time become a method's features."""

import numpy as np
import pytest
import torch
from torch import Tensor

from essential.encoders.base import Encoder, over_time
from essential.errors import ConfigError
from essential.features.config import FeaturesConfig
from essential.features.pipeline import ClipEncoder
from essential.features.provenance import build_recipe
from essential.video.config import AugmentConfig, PixelFormat

PIXELS = PixelFormat(8, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), interpolation="bilinear")


class PairEncoder(Encoder):
    """Reads 8 frames, and gives the mean colour of each 2 of them."""

    def __init__(self) -> None:
        super().__init__("pairs", dim=3, pixel_format=PIXELS, architecture="pairs-1", clip_frames=8)

    def encode(self, clips: Tensor) -> Tensor:
        return clips.mean(dim=(3, 4)).unflatten(1, (-1, 2)).mean(dim=2)


@pytest.mark.parametrize(("steps", "frames"), [(8, 8), (32, 8), (6, 4), (5, 8), (1, 3), (8, 5), (7, 1)])
def test_each_part_of_the_time_is_the_mean_of_the_steps_in_it(steps: int, frames: int) -> None:
    features = torch.randn(3, steps, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    parts = over_time(features, frames)

    for part in range(frames):
        # A step reaches from step / steps to (step + 1) / steps of the time; ends are compared as whole numbers.
        inside = [s for s in range(steps) if (s + 1) * frames > part * steps and s * frames < (part + 1) * steps]
        expected = np.mean([features[:, step].numpy() for step in inside], axis=0)
        np.testing.assert_allclose(parts[:, part].numpy(), expected, rtol=1e-12, atol=1e-12)


def test_as_many_steps_as_features_are_left_as_they_are() -> None:
    features = torch.randn(2, 4, 3)

    assert over_time(features, 4) is features


def test_a_clip_encoder_reads_its_own_frames_and_gives_the_features_asked_for() -> None:
    recipe = build_recipe(FeaturesConfig(), PairEncoder().freeze(), augment=AugmentConfig(), frames=2, seed=0)
    clips = torch.rand(1, 8, 3, 8, 8)
    through = ClipEncoder(recipe.encoder, frames=2, batch_clips=None, precision="float32")

    ((_, features),) = [*through.add(0, clips), *through.finish()]

    assert recipe.request((0,)).frames == 8
    assert features.shape == (1, 2, 3)
    colours = clips.double().mean(dim=(3, 4))[0]
    expected = [colours[:4].mean(dim=0), colours[4:].mean(dim=0)]
    # Means of 256 numbers below 1 in float32.
    torch.testing.assert_close(torch.from_numpy(features[0]).double(), torch.stack(expected), rtol=0, atol=2e-5)
    sampling = recipe.provenance()["sampling"]
    assert (sampling["frames"], sampling["read"]) == (2, 8)
    assert "step" in sampling["steps"]


def test_another_number_of_frames_than_it_reads_is_refused() -> None:
    with pytest.raises(ConfigError, match="'pairs' reads 8 frames of a clip, not 4"):
        PairEncoder()(torch.zeros(1, 4, 3, 8, 8), 2)


def test_how_many_frames_it_reads_is_part_of_the_fingerprint() -> None:
    one, other = PairEncoder(), PairEncoder()
    other.clip_frames = 16

    assert one.fingerprint != other.fingerprint
