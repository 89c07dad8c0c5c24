"""Linear scores from class means and one covariance for all: what SLDA and FeCAM's shared form decide by."""

import torch
from jaxtyping import Float
from torch import Tensor


def discriminant(
    means: Float[Tensor, "slots width"], covariance: Float[Tensor, "width width"]
) -> tuple[Float[Tensor, "slots width"], Float[Tensor, " slots"]]:
    """Return weight and bias of the scores  m L x - m L m / 2, where L is the inverse of the covariance.

    They differ from minus half the squared Mahalanobis distance by x L x / 2, which is the same for all classes.

    Args:
        means: of the classes.
        covariance: positive definite.
    """
    weight = torch.cholesky_solve(means.T, torch.linalg.cholesky(covariance)).T
    return weight, -0.5 * (weight * means).sum(dim=1)
