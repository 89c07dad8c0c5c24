"""Ridge regression of the classes' indicators on the clips' vectors, from statistics alone."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from essential.methods.statistics import ClassStatistics

# Of the mean eigenvalue of X^T X: the ridges that are tried, in descending order, ten per decade.
_STRENGTHS = 10 ** torch.linspace(3, -5, 81, dtype=torch.float64)
# Of the largest eigenvalue: one below it is rounding of float64.
_RANK = 1e-12
# Ridges whose errors are this close are equal but for rounding; the strongest is taken.
_EQUAL = 1e-6


@dataclass(frozen=True)
class RidgeProblem:
    """Ridge regression of the classes' indicators on the clips' vectors, in the eigenvectors of X^T X.

    X^T X is the scatter within classes, between two blocks nothing, and what the means say of the scatter between
    classes, between two blocks too.

    With X the vectors about their mean, and Y the indicators (1 in the clip's class, 0 elsewhere) about theirs, the
    weights are (X^T X + ridge I)^-1 X^T Y. The intercept is not penalised. One eigendecomposition serves every ridge.

    Attributes:
        values: eigenvalues of X^T X, but for those that may be rounding.
        vectors: their eigenvectors, one per column.
        mean_value: of all eigenvalues.
        rounding: what the rounding of the statistics may make of an eigenvalue of 0.
        targets: the eigenvectors' products with X^T Y.
        spread: the sum of the squares of Y.
        clips: rows of X.
        mean: of the vectors, before it was taken off.
        shares: each class's share of the clips, the mean of Y before it was taken off.
    """

    values: Float[Tensor, " kept"]
    vectors: Float[Tensor, "width kept"]
    mean_value: float
    rounding: float
    targets: Float[Tensor, "kept slots"]
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
        # Independent errors of one step make a matrix whose largest eigenvalue is about the root of four widths.
        rounding = 2 * len(gram) ** 0.5 * statistics.step * float(gram.diagonal().max())
        varies = float(gram.trace()) > sum(block.negligible for block in blocks) * clips
        kept = values > (max(_RANK * float(values[-1]), rounding) if varies else torch.inf)
        return cls(
            values[kept],
            vectors[:, kept],
            float(gram.trace()) / len(gram),
            rounding,
            vectors[:, kept].T @ between,
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
        if not len(self.values):
            return 1.0
        explained = self.targets.square().sum(dim=1) / self.values
        free = self.clips - 1 - len(self.values)
        outside = max(self.spread - float(explained.sum()), 0.0) if free > 0 else 0.0
        ridges = _STRENGTHS.to(self.values) * self.mean_value
        ridges = ridges[ridges > self.rounding]
        left = ridges[:, None] / (self.values + ridges[:, None])
        errors = (outside + left.square() @ explained) / (max(free, 0) + left.sum(dim=1)).square()
        first = (errors <= errors.min() * (1 + _EQUAL)).nonzero()[0, 0]
        return float(ridges[first])

    def solve(self, ridge: float) -> tuple[Float[Tensor, "slots width"], Float[Tensor, " slots"]]:
        """Return weight and bias of the scores."""
        weight = self.targets.T / (self.values + ridge) @ self.vectors.T
        return weight, self.shares - weight @ self.mean
