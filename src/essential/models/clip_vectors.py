"""From the frame features of a clip to one vector of float64, for classifiers that are computed in closed form."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

ClipForm = Literal["mean", "side-by-side"]


class MeanOfFrames(nn.Module):
    """The mean of a clip's frames. It is blind to their order."""

    def forward(self, features: Float[Tensor, "batch frames dim"]) -> Float[Tensor, "batch dim"]:
        """Return a vector as wide as a frame."""
        return features.double().mean(dim=1)


class FramesSideBySide(nn.Module):
    """All frames of a clip, the first one first, so that each number has its moment."""

    def forward(self, features: Float[Tensor, "batch frames dim"]) -> Float[Tensor, "batch width"]:
        """Return a vector of frames times dim numbers."""
        return features.double().flatten(1)


class UnitLength(nn.Module):
    """Vectors scaled to length 1; a vector of zeros stays."""

    def forward(self, vectors: Float[Tensor, "batch width"]) -> Float[Tensor, "batch width"]:
        """Return the direction of every vector."""
        return nn.functional.normalize(vectors, dim=1)


class RandomFeatures(nn.Module):
    """A fixed random projection and a ReLU. Source: McDonnell et al., RanPAC, NeurIPS 2023.

    Args:
        width: of the vectors.
        number: how many random features.
        generator: what the projection is drawn from; every number is normal with mean 0 and variance 1.
    """

    projection: Tensor

    def __init__(self, width: int, number: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.register_buffer("projection", torch.randn(width, number, generator=generator))

    def forward(self, vectors: Float[Tensor, "batch width"]) -> Float[Tensor, "batch number"]:
        """Return the random features."""
        return (vectors @ self.projection.to(vectors)).relu()


def clip_vector(form: ClipForm, *, dim: int, frames: int) -> tuple[nn.Module, int]:
    """Return what turns frame features into a vector, and how many numbers that has."""
    return (MeanOfFrames(), dim) if form == "mean" else (FramesSideBySide(), dim * frames)
