"""Ridge regression of the classes' indicators on the clips' vectors, from statistics alone."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from essential.methods.statistics import ClassStatistics

# Of the mean eigenvalue of X^T X: the ridges that are tried, in descending order, ten per decade.
_STRENGTHS = 10 ** torch.linspace(3, -5, 81, dtype=torch.float64)
# Of the largest eigenvalue: an eigenvalue below it is rounding.
_RANK = 1e-12
# Ridges whose errors are this close are equal but for rounding; the strongest is taken.
_EQUAL = 1e-6


@dataclass(frozen=True)
class RidgeProblem:
    """Ridge regression of the classes' indicators on the clips' vectors, in the eigenvectors of X^T X.

    With X the vectors about their mean, and Y the indicators (1 in the clip's class, 0 elsewhere) about theirs, the
    weights are (X^T X + ridge I)^-1 X^T Y. The intercept is not penalised. One eigendecomposition serves every ridge.

    Attributes:
        values: eigenvalues of X^T X, none below 0.
        vectors: its eigenvectors, one per column.
        targets: the eigenvectors' products with X^T Y.
        spread: the sum of the squares of Y.
        clips: rows of X.
        mean: of the vectors, before it was taken off.
        shares: each class's share of the clips, the mean of Y before it was taken off.
    """

    values: Float[Tensor, " width"]
    vectors: Float[Tensor, "width width"]
    targets: Float[Tensor, "width slots"]
    spread: float
    clips: int
    mean: Float[Tensor, " width"]
    shares: Float[Tensor, " slots"]

    @classmethod
    def of(cls, statistics: ClassStatistics) -> "RidgeProblem":
        """Pose the problem for all clips that the statistics are of; without any variance all eigenvalues are 0."""
        blocks = list(statistics.blocks())
        counts, clips = blocks[0].counts, blocks[0].clips
        means = torch.cat([block.means for block in blocks], dim=1)
        shares = counts / clips
        mean = shares @ means
        between = (means - mean).T * counts
        gram = torch.block_diag(*(block.covariance * clips for block in blocks)) + between @ (means - mean)
        values, vectors = torch.linalg.eigh(gram)
        varies = float(gram.trace()) > sum(block.negligible for block in blocks) * clips
        return cls(
            values.clamp(min=0) if varies else torch.zeros_like(values),
            vectors,
            vectors.T @ between,
            spread=float((counts * (1 - shares)).sum()),
            clips=clips,
            mean=mean,
            shares=shares,
        )

    def best_ridge(self) -> float:
        """Return the ridge with the least generalised cross-validation error, (squares left) / (freedom left)^2.

        Source: Golub, Heath and Wahba, Generalized cross-validation as a method for choosing a good ridge parameter,
        Technometrics 1979, equation 1.4. Sums of what is left along each eigenvector are exact also where there are
        more numbers than clips.
        """
        if not self.values.any():
            return 1.0
        kept = self.values > _RANK * self.values.max()
        values = self.values[kept]
        explained = self.targets[kept].square().sum(dim=1) / values
        free = self.clips - 1 - len(values)
        outside = max(self.spread - float(explained.sum()), 0.0) if free > 0 else 0.0
        ridges = _STRENGTHS.to(values) * self.values.mean()
        left = ridges[:, None] / (values + ridges[:, None])
        errors = (outside + left.square() @ explained) / (max(free, 0) + left.sum(dim=1)).square()
        first = (errors <= errors.min() * (1 + _EQUAL)).nonzero()[0, 0]
        return float(ridges[first])

    def solve(self, ridge: float) -> tuple[Float[Tensor, "slots width"], Float[Tensor, " slots"]]:
        """Return weight and bias of the scores."""
        weight = self.targets.T / (self.values + ridge) @ self.vectors.T
        return weight, self.shares - weight @ self.mean
