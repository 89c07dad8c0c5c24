"""Covariances that can be inverted: shrunk towards a multiple of the identity, by how much the clips themselves say.

And what SLDA and FeCAM's shared form decide by: linear scores from class means and one such covariance for all.
"""

import torch
from jaxtyping import Float
from torch import Tensor

# Streaming LDA's fixed value. Two clips of one class would ask for none at all, and leave a singular matrix.
LEAST = 1e-4


def ledoit_wolf(covariance: Float[Tensor, "width width"], fourth: float, *, clips: int) -> float:
    """Return the shrinkage, between 0 and 1, with the least expected squared error.

    It needs nothing of the clips but two sums, so it can be had when they are gone.

    Args:
        covariance: the mean over the clips of x x^T, for vectors x of mean 0.
        fourth: the sum over the clips of |x|^4.
        clips: how many.

    Source: Ledoit and Wolf, A well-conditioned estimator for large-dimensional covariance matrices, JMVA 2004,
    lemma 3.2 to 3.4.
    """
    squares = float(covariance.square().sum())
    distance = squares - float(covariance.trace()) ** 2 / len(covariance)
    error = (fourth / clips - squares) / clips
    return min(max(error / distance, 0.0), 1.0) if distance > 0 else 1.0


def shrunk(
    covariance: Float[Tensor, "width width"], shrinkage: float, *, negligible: float = 0.0
) -> Float[Tensor, "width width"]:
    """Return (1 - s) covariance + s m identity, where m is the mean variance; the identity if there is no variance.

    Args:
        covariance: positive semidefinite.
        shrinkage: s, from 0 to 1.
        negligible: a trace up to this is no variance.
    """
    identity = torch.eye(len(covariance), dtype=covariance.dtype, device=covariance.device)
    trace = float(covariance.trace())
    if trace <= negligible:
        return identity
    return (1 - shrinkage) * covariance + shrinkage * trace / len(covariance) * identity


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
