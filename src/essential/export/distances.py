"""Distances to the classes in plain products: `cdist`, and matrices filled by a mask, are in no exported program.

Equal to `models.closed_form` but for the last digits of float64.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from essential.models.classifier import Predictor
from essential.models.closed_form import MahalanobisDistances, MeanDistances
from essential.models.packed_triangle import unpack_upper


class ProductDistances(nn.Module):
    """What `MeanDistances` gives: minus the squared distance to each class's mean."""

    means: Tensor

    def __init__(self, distances: MeanDistances) -> None:
        super().__init__()
        self.vectors = distances.vectors
        self.register_buffer("means", distances.means)

    def forward(self, features: Float[Tensor, "clips frames dim"]) -> Float[Tensor, "clips slots"]:
        """Score dense clips."""
        return -squared_distances(self.vectors(features), self.means.double())


class WhitenedDistances(nn.Module):
    """What `MahalanobisDistances` gives, all classes in one product."""

    means: Tensor
    whitenings: Tensor

    def __init__(self, distances: MahalanobisDistances) -> None:
        super().__init__()
        self.vectors = distances.vectors
        self.register_buffer("means", distances.means)
        self.register_buffer("whitenings", torch.stack([unpack_upper(packed) for packed in distances.whitenings]))

    def forward(self, features: Float[Tensor, "clips frames dim"]) -> Float[Tensor, "clips slots"]:
        """Score dense clips."""
        apart = self.vectors(features)[None] - self.means.double()[:, None]
        squares: Tensor = (apart @ self.whitenings.double()).square().sum(dim=2)
        return -squares.T


def squared_distances(
    vectors: Float[Tensor, "clips width"], means: Float[Tensor, "slots width"]
) -> Float[Tensor, "clips slots"]:
    """Return the squared distance of each vector from each mean."""
    squares = vectors.square().sum(dim=1, keepdim=True) - 2 * vectors @ means.T + means.square().sum(dim=1)
    return squares.clamp(min=0)


def exportable_scores(predictor: Predictor) -> nn.Module:
    """Return a module that scores clips as `predictor` does, and can be exported: itself in most cases."""
    if isinstance(predictor, MeanDistances):
        return ProductDistances(predictor)
    if isinstance(predictor, MahalanobisDistances):
        return WhitenedDistances(predictor)
    return predictor
