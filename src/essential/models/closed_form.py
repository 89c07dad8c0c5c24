"""Predictors whose numbers are computed, not trained: linear scores, and distances to the classes' means.

All compute in float64: an inverse covariance enlarges every rounding. What is final once a class has been seen is kept
as float32.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from essential.models.classifier import Predictor
from essential.models.packed_triangle import pack_upper, packed_size, unpack_upper


class ClosedFormPredictor(Predictor):
    """What scores clips by vectors that stand for them.

    Args:
        vectors: turns frame features (batch, frames, dim) into vectors (batch, width) of float64; those that follow
            are also told the width.
    """

    reading = "closed-form"

    def __init__(self, vectors: nn.Module) -> None:
        super().__init__()
        self.vectors = vectors


class LinearScores(ClosedFormPredictor):
    """Dense frame features, in; weight times the clip's vector plus bias, out."""

    grows = ("weight", "bias")
    weight: Tensor
    bias: Tensor

    def __init__(self, vectors: nn.Module, *, width: int) -> None:
        super().__init__(vectors)
        self.register_buffer("weight", torch.zeros(0, width, dtype=torch.float64))
        self.register_buffer("bias", torch.zeros(0, dtype=torch.float64))

    def set(self, weight: Float[Tensor, "slots width"], bias: Float[Tensor, " slots"]) -> None:
        """Score with these numbers, one row per slot."""
        self.weight, self.bias = weight, bias

    def forward(self, features: Float[Tensor, "batch frames dim"]) -> Float[Tensor, "batch slots"]:
        """Score dense clips."""
        return nn.functional.linear(self.vectors(features), self.weight, self.bias)


class MeanDistances(ClosedFormPredictor):
    """Dense frame features, in; minus the squared distance to each class's mean, out."""

    grows = ("means",)
    means: Tensor

    def __init__(self, vectors: nn.Module, *, width: int) -> None:
        super().__init__(vectors)
        self.register_buffer("means", torch.zeros(0, width))

    def add(self, mean: Float[Tensor, " width"]) -> None:
        """Add a class behind the present ones."""
        self.means = torch.cat([self.means, mean[None].to(self.means)])

    def forward(self, features: Float[Tensor, "batch frames dim"]) -> Float[Tensor, "batch slots"]:
        """Score dense clips."""
        distances = torch.cdist(self.vectors(features), self.means.double())
        return -distances.square()


class MahalanobisDistances(ClosedFormPredictor):
    """Dense frame features, in; minus the squared distance to each class's mean, by the class's own covariance, out.

    Beside its mean, a class has an upper triangular matrix W, packed: W W^T is the inverse of its covariance.
    """

    grows = ("means", "whitenings")
    means: Tensor
    whitenings: Tensor

    def __init__(self, vectors: nn.Module, *, width: int) -> None:
        super().__init__(vectors)
        self.register_buffer("means", torch.zeros(0, width))
        self.register_buffer("whitenings", torch.zeros(0, packed_size(width)))

    def add(self, mean: Float[Tensor, " width"], covariance: Float[Tensor, "width width"]) -> None:
        """Add a class behind the present ones.

        Args:
            mean: of its vectors.
            covariance: of its vectors, positive definite.
        """
        factor = torch.linalg.cholesky(covariance)
        identity = torch.eye(len(factor), dtype=factor.dtype, device=factor.device)
        inverse = torch.linalg.solve_triangular(factor, identity, upper=False)
        self.means = torch.cat([self.means, mean[None].to(self.means)])
        self.whitenings = torch.cat([self.whitenings, pack_upper(inverse.T)[None].to(self.whitenings)])

    def forward(self, features: Float[Tensor, "batch frames dim"]) -> Float[Tensor, "batch slots"]:
        """Score dense clips, one class after the other: all matrices at once would not fit into memory."""
        vectors: Tensor = self.vectors(features)
        distances = vectors.new_zeros(len(vectors), len(self.means))
        for slot, (mean, packed) in enumerate(zip(self.means, self.whitenings, strict=True)):
            apart = vectors - mean.to(vectors)
            distances[:, slot] = (apart @ unpack_upper(packed).to(apart)).square().sum(dim=1)
        return -distances
