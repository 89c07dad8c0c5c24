"""Statistics of all classes seen, kept instead of exemplars, and linear scores computed from them alone.

They are each class's count and mean, and one scatter of all clips about their class's mean; none depends on the order
of the classes or on their split into tasks.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from essential.memory.ledger import LedgerEntry
from essential.models.closed_form import pack_upper, packed_size, unpack_symmetric
from essential.models.growing import Growing

# Of a mean squared length: what lies below is the rounding of equal vectors, not variance.
_NOTHING = 1e-20
# Of the mean eigenvalue of X^T X: the ridges that are tried, in descending order, ten per decade.
_STRENGTHS = 10 ** torch.linspace(3, -5, 81, dtype=torch.float64)
# Of the largest eigenvalue: an eigenvalue below it is rounding.
_RANK = 1e-12
# Ridges whose errors are this close are equal but for rounding; the strongest is taken.
_EQUAL = 1e-6
# Streaming LDA's fixed shrinkage. Two clips of one class would ask for none at all, and leave a singular matrix.
LEAST = 1e-4


class ClassStatistics(Growing):
    """Counts, means and the pooled within-class scatter of vectors.

    Attributes:
        counts: clips of each slot.
        means: each slot's mean, float32: a class comes in one task, so nothing is added to its mean later.
        scatter: the sum over all clips of (x - mean)(x - mean)^T, upper triangle, float64.
        fourth: the sum over all clips of |x - mean|^4.
    """

    grows = ("counts", "means")
    counts: Tensor
    means: Tensor
    scatter: Tensor
    fourth: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("counts", torch.zeros(0, dtype=torch.long))
        self.register_buffer("means", torch.zeros(0, width))
        self.register_buffer("scatter", torch.zeros(packed_size(width), dtype=torch.float64))
        self.register_buffer("fourth", torch.zeros(1, dtype=torch.float64))

    def add(self, classes: Iterable[Float[Tensor, "_ width"]]) -> None:
        """Add classes behind the present ones, each given by all its vectors (float64)."""
        counts, means = [self.counts], [self.means]
        scatter, fourth = unpack_symmetric(self.scatter), self.fourth
        for vectors in classes:
            mean = vectors.mean(dim=0)
            apart = vectors - mean
            scatter = scatter + apart.T @ apart
            fourth = fourth + apart.square().sum(dim=1).square().sum()
            counts.append(self.counts.new_tensor([len(vectors)]))
            means.append(mean[None].to(self.means))
        self.counts, self.means = torch.cat(counts), torch.cat(means)
        self.scatter, self.fourth = pack_upper(scatter), fourth

    @property
    def clips(self) -> int:
        """How many vectors have been added."""
        return int(self.counts.sum())

    @property
    def negligible(self) -> float:
        """The trace of a covariance below which it is rounding: there is no variance at all."""
        return _NOTHING * float(self.means.double().square().sum(dim=1).mean())

    def covariance(self) -> Float[Tensor, "width width"]:
        """Return the pooled covariance within classes: the scatter by the number of clips."""
        return unpack_symmetric(self.scatter) / self.clips

    def ledger(self) -> list[LedgerEntry]:
        kept = {"class counts": self.counts, "class means": self.means, "scatter within classes": self.scatter}
        return statistics_ledger({**kept, "sum of fourth powers": self.fourth})


def statistics_ledger(kept: Mapping[str, Tensor]) -> list[LedgerEntry]:
    """Return an entry for each tensor that is kept instead of exemplars; no paper's memory figure counts such."""
    return [LedgerEntry("statistics", name, tensor.nbytes, in_paper_figure=False) for name, tensor in kept.items()]


def ledoit_wolf(covariance: Float[Tensor, "width width"], fourth: float, *, clips: int) -> float:
    """Return the shrinkage, between 0 and 1, with the least expected squared error.

    Of vectors x of mean 0, `covariance` is the mean over the clips of x x^T, and `fourth` the sum of |x|^4.

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
    """Return (1 - s) covariance + s m identity, where m is the mean variance and s, from 0 to 1, the shrinkage.

    The identity where the trace is `negligible`: there is no variance.
    """
    identity = torch.eye(len(covariance), dtype=covariance.dtype, device=covariance.device)
    trace = float(covariance.trace())
    if trace <= negligible:
        return identity
    return (1 - shrinkage) * covariance + shrinkage * trace / len(covariance) * identity


def discriminant(
    means: Float[Tensor, "slots width"], covariance: Float[Tensor, "width width"]
) -> tuple[Float[Tensor, "slots width"], Float[Tensor, " slots"]]:
    """Return weight and bias of the scores  m L x - m L m / 2, L the inverse of a positive definite covariance.

    They differ from minus half the squared Mahalanobis distance by x L x / 2, which is the same for all classes.
    """
    weight = torch.cholesky_solve(means.T, torch.linalg.cholesky(covariance)).T
    return weight, -0.5 * (weight * means).sum(dim=1)


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
        counts, means = statistics.counts.double(), statistics.means.double()
        shares = counts / statistics.clips
        mean = shares @ means
        between = (means - mean).T * counts
        gram = unpack_symmetric(statistics.scatter) + between @ (means - mean)
        values, vectors = torch.linalg.eigh(gram)
        varies = float(gram.trace()) > statistics.negligible * statistics.clips
        return cls(
            values.clamp(min=0) if varies else torch.zeros_like(values),
            vectors,
            vectors.T @ between,
            spread=float((counts * (1 - shares)).sum()),
            clips=statistics.clips,
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
