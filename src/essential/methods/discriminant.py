"""Linear discriminant analysis from statistics: shrunken covariances, and class means drawn towards their centre."""

from collections.abc import Iterable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from essential.methods.statistics import NOTHING, Block
from essential.models.closed_form import positive_factor

# Streaming LDA's fixed shrinkage. Two clips of one class would ask for none at all, and leave a singular matrix.
LEAST = 1e-4
# Where nearly every direction is a clip's own, the distance of one left out is not known.
_LEFT_OUT = 0.05

Means = Literal["expected", "plain"]


def ledoit_wolf(
    covariance: Float[Tensor, "rank rank"], fourth: float, *, clips: int, width: int | None = None
) -> float:
    """Return the shrinkage, between 0 and 1, with the least expected squared error.

    Of vectors x of mean 0, `covariance` is the mean over the clips of x x^T, and `fourth` the sum of |x|^4. They may be
    coordinates in the span of longer vectors, of `width` numbers.

    Source: Ledoit and Wolf, A well-conditioned estimator for large-dimensional covariance matrices, JMVA 2004,
    lemma 3.2 to 3.4.
    """
    squares = float(covariance.square().sum())
    distance = squares - float(covariance.trace()) ** 2 / (width or len(covariance))
    error = (fourth / clips - squares) / clips
    return min(max(error / distance, 0.0), 1.0) if distance > 0 else 1.0


def shrunk(
    covariance: Float[Tensor, "width width"], shrinkage: float, *, negligible: float = 0.0
) -> Float[Tensor, "width width"]:
    """Return (1 - s) covariance + s m identity, where m is the mean variance and s, from 0 to 1, the shrinkage.

    The identity where the trace is `negligible`: there is no variance.
    """
    identity = torch.eye(len(covariance), dtype=covariance.dtype, device=covariance.device)
    trace = float(covariance.trace())
    if trace <= negligible:
        return identity
    return (1 - shrinkage) * covariance + shrinkage * trace / len(covariance) * identity


def chosen_shrinkage(block: Block) -> float:
    """Return Ledoit and Wolf's choice for a block's covariance, or the least that leaves an inverse.

    Many clips of few dimensions ask for less than the rounding of the covariance changes its eigenvalues.
    """
    return max(ledoit_wolf(block.covariance, block.fourth, clips=block.clips), LEAST, block.rounding)


def discriminant(
    block: Block, covariance: Float[Tensor, "width width"]
) -> tuple[Float[Tensor, "slots width"], Float[Tensor, " slots"]]:
    """Return weight and bias of the scores  m L x - m L m / 2, L the inverse of a positive definite covariance.

    They differ from minus half the squared Mahalanobis distance by x L x / 2, which is the same for all classes.
    """
    weight = torch.cholesky_solve(block.means.T, positive_factor(covariance)).T
    return weight, -0.5 * (weight * block.means).sum(dim=1)


def expected_discriminant(
    block: Block, covariance: Float[Tensor, "width width"], shrinkage: float
) -> tuple[Float[Tensor, "slots width"], Float[Tensor, " slots"]]:
    """Return weight and bias of `discriminant`, measured from the classes' centre, of the expected true means.

    A class's mean of few clips lies further from everything than its true mean does. In coordinates in which L is the
    identity, the means are a matrix of signal and noise; `_gains` says which part of each direction is signal. A block
    in which the classes do not differ gets hardly any score. For `shrinkage` see `noise_within`.
    """
    counts, factor = block.counts, positive_factor(covariance)
    whitened = torch.linalg.solve_triangular(factor, block.means.T, upper=False).T
    apart = whitened - counts @ whitened / block.clips
    alike = block.clips - float(counts.square().sum()) / block.clips
    if alike <= 0:  # one class
        return torch.zeros_like(whitened), torch.zeros_like(counts)
    noise = noise_within(block, factor, shrinkage)
    _, strengths, directions = torch.linalg.svd((counts / alike).sqrt()[:, None] * apart, full_matrices=False)
    most = min(len(counts) - 1, len(factor))
    gains = _gains(strengths[:most].square(), noise, counts, effective=alike / (len(counts) - 1), width=len(factor))
    along = whitened @ directions[:most].T
    centre = (gains * along).sum(dim=0) / gains.sum(dim=0).clamp(min=torch.finfo(gains.dtype).tiny)
    expected = gains * (along - centre)
    weight = torch.linalg.solve_triangular(factor.T, directions[:most].T @ expected.T, upper=True).T
    return weight, -(expected * (centre + expected / 2)).sum(dim=1)


def noise_within(block: Block, factor: Float[Tensor, "width width"], shrinkage: float) -> float:
    """Return the mean square, per number whitened by `factor`, of a clip about its class's true mean.

    The covariance contains the clips that it measures, so where they are few they look near. By Sherman and Morrison's
    formula a squared distance q under a covariance of n clips, shrunk by s, is q / (1 - (1 - s) q / n) under that of
    the other clips; here q is the mean.
    """
    freedom = max(block.clips - len(block.counts), 1)
    distance = float((torch.cholesky_inverse(factor) * block.covariance).sum())
    left_out = max(1 - (1 - shrinkage) * distance / freedom, _LEFT_OUT)
    return distance * block.clips / freedom / len(factor) / left_out


def _gains(
    variances: Float[Tensor, " directions"],
    noise: float,
    counts: Float[Tensor, " slots"],
    *,
    effective: float,
    width: int,
) -> Float[Tensor, "slots directions"]:
    """Return how much of each class's mean, along each principal direction of all means, is expected to be its own.

    `variances` are those of the means along the directions; a mean of n clips has noise / n in each of `width`
    dimensions. The classes differ in a few directions strongly, and in all others by an equal variance, of which the
    median says how much. What sticks out is shrunk as in Gavish and Donoho, Optimal shrinkage of singular values, IEEE
    Transactions on Information Theory 2017, equation 7; `effective` clips per class is what that takes all to have. A
    class of fewer clips gets less by the ratio of variances (Wiener).
    """
    degrees = len(counts) - 1
    ratio, spread = len(variances) / max(degrees, width), max(1.0, width / degrees)
    # The median of the Marchenko-Pastur law lies about a third of the ratio below its mean.
    bulk = max(float(variances.quantile(0.5)) / (1 - ratio / 3) / spread, noise / effective)
    if bulk <= NOTHING * float(variances.max()):
        return torch.ones(len(counts), len(variances)).to(variances)
    between = bulk - noise / effective
    outlying = variances / (bulk * spread)
    inside = (outlying - ratio - 1).square() - 4 * ratio
    kept = torch.where(outlying > (1 + ratio**0.5) ** 2, inside.clamp(min=0).sqrt() / outlying, 0.0)
    own = (between + noise / counts)[:, None]
    # The strength kept / (1 - kept) bulk, of all, where `kept` may be 1.
    alone = kept * bulk / (kept * bulk + (1 - kept) * own).clamp(min=torch.finfo(kept.dtype).tiny)
    rest = between / own if between > 0 else torch.zeros_like(own)
    return alone + (1 - alone) * rest


def side_by_side(
    parts: Iterable[tuple[Float[Tensor, "slots _"], Float[Tensor, " slots"]]],
) -> tuple[Float[Tensor, "slots numbers"], Float[Tensor, " slots"]]:
    """Return weight and bias of the sum of the blocks' scores."""
    weights, biases = zip(*parts, strict=True)
    return torch.cat(weights, dim=1), torch.stack(biases).sum(dim=0)
