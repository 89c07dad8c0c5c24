"""A frozen encoder small enough to follow by hand: each frame's quarters, averaged, times a fixed matrix."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from essential.encoders.base import Encoder
from essential.video.config import PixelFormat

DIM = 6


class FakeEncoder(Encoder):
    """Sensitive to the place of things in a frame, so that two views of a video differ."""

    def __init__(self, name: str = "fake", *, seed: int = 0, size: int = 16) -> None:
        pixels = PixelFormat(size=size, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), interpolation="bilinear")
        super().__init__(name, dim=DIM, pixel_format=pixels, architecture="means of 16 cells, matrix")
        values = torch.randn(3 * 16, DIM, generator=torch.Generator().manual_seed(seed))
        self.matrix = nn.Parameter(values)
        self.freeze()

    def encode(self, clips: Float[Tensor, "batch frames 3 size size"]) -> Float[Tensor, "batch frames dim"]:
        cells = nn.functional.adaptive_avg_pool2d(clips.flatten(0, 1), 4).flatten(1)
        features: Tensor = (cells @ self.matrix).unflatten(0, clips.shape[:2])
        return features
