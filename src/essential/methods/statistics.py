"""Statistics of all classes seen, kept instead of exemplars, and linear scores computed from them alone.

They are each class's count and mean, and for each block of the clips' numbers one scatter of all clips about their
class's mean; none depends on the order of the classes or on their split into tasks, but for the rounding of its bits.
"""

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from essential.memory.ledger import LedgerEntry
from essential.models.closed_form import pack_upper, packed_size, unpack_upper
from essential.models.growing import Growing, below

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

Bits = Literal[16, 32, 64]


@dataclass(frozen=True)
class Block:
    """The statistics of one block of the vectors' numbers, in float64.

    Attributes:
        counts: clips of each slot.
        means: each slot's mean.
        covariance: pooled, within classes: the scatter by the number of clips.
        fourth: the sum over all clips of |x - mean|^4.
    """

    counts: Float[Tensor, " slots"]
    means: Float[Tensor, "slots width"]
    covariance: Float[Tensor, "width width"]
    fourth: float

    @property
    def clips(self) -> int:
        """How many vectors have been added."""
        return int(self.counts.sum())

    @property
    def negligible(self) -> float:
        """The trace of a covariance below which it is rounding: there is no variance at all."""
        return _NOTHING * float(self.means.square().sum(dim=1).mean())

    def invertible(self, shrinkage: float | None = None) -> Float[Tensor, "width width"]:
        """Return the covariance shrunk towards its mean variance; without a shrinkage by Ledoit and Wolf's choice."""
        if shrinkage is None:
            shrinkage = max(ledoit_wolf(self.covariance, self.fourth, clips=self.clips), LEAST)
        return shrunk(self.covariance, shrinkage, negligible=self.negligible)


class ClassStatistics(Growing):
    """Counts, means and, block by block, the pooled within-class scatter of vectors.

    A vector has `blocks` blocks of `width` numbers; nothing is kept of the covariance between two blocks. Numbers are
    kept as integers of `bits` bits and the scales that they are fractions of. A class comes in one task, so nothing is
    added to its mean later.

    Attributes:
        counts: clips of each slot.
        mean_codes: each slot's means, as fractions of `mean_scales`, the largest number of the slot's block.
        scatter_codes: each block's upper triangle of the sum over all clips of (x - mean)(x - mean)^T, as fractions of
            the products of the two numbers' `deviations`, the roots of its diagonal: as correlations.
        fourth: the sum over all clips of |x - mean|^4, for each block.
    """

    grows = ("counts", "mean_codes", "mean_scales")
    counts: Tensor
    mean_codes: Tensor
    mean_scales: Tensor
    scatter_codes: Tensor
    deviations: Tensor
    fourth: Tensor

    def __init__(self, width: int, *, blocks: int = 1, bits: Bits = 32) -> None:
        super().__init__()
        codes = {16: torch.int16, 32: torch.int32, 64: torch.int64}[bits]
        self.register_buffer("counts", torch.zeros(0, dtype=torch.long))
        self.register_buffer("mean_codes", torch.zeros(0, blocks, width, dtype=codes))
        self.register_buffer("mean_scales", torch.zeros(0, blocks))
        self.register_buffer("scatter_codes", torch.zeros(blocks, packed_size(width), dtype=codes))
        self.register_buffer("deviations", torch.zeros(blocks, width))
        self.register_buffer("fourth", torch.zeros(blocks, dtype=torch.float64))

    def add(self, classes: Iterable[Float[Tensor, "_ numbers"]]) -> None:
        """Add classes behind the present ones, each given by all its vectors (float64), block after block."""
        counts, means = [self.counts], []
        scatter, fourth = self._scatter(), self.fourth
        for vectors in classes:
            numbers = vectors.unflatten(1, self.deviations.shape).transpose(0, 1)
            mean = numbers.mean(dim=1)
            apart = numbers - mean[:, None]
            scatter.baddbmm_(apart.mT, apart)
            fourth = fourth + apart.square().sum(dim=2).square().sum(dim=1)
            counts.append(self.counts.new_tensor([len(vectors)]))
            means.append(mean)
        if not means:
            return
        self.counts, self.fourth = torch.cat(counts), fourth
        self._keep_means(torch.stack(means))
        self._keep_scatter(scatter)

    @property
    def means(self) -> Float[Tensor, "slots blocks width"]:
        """Each slot's mean (float64)."""
        return _decoded(self.mean_codes) * self.mean_scales.double()[..., None]

    def blocks(self) -> Iterator[Block]:
        """Give the statistics block by block."""
        means, clips = self.means, max(int(self.counts.sum()), 1)
        for index, fourth in enumerate(self.fourth.tolist()):
            yield Block(self.counts.double(), means[:, index], self._scatter(index)[0] / clips, fourth)

    def ledger(self) -> list[LedgerEntry]:
        scatter = {"deviations": self.deviations, "scatter within classes": self.scatter_codes}
        means = {"class means": self.mean_codes, "scales of means": self.mean_scales}
        kept = {"class counts": self.counts, **means, **scatter, "sums of fourth powers": self.fourth}
        return statistics_ledger(kept)

    def _scatter(self, *only: int) -> Float[Tensor, "blocks width width"]:
        which = list(only) or slice(None)
        scatter = unpack_upper(_decoded(self.scatter_codes[which]))
        scatter += scatter.triu(1).mT
        deviations = self.deviations[which].double()
        return scatter.mul_(deviations[:, :, None]).mul_(deviations[:, None])

    def _keep_scatter(self, scatter: Float[Tensor, "blocks width width"]) -> None:
        self.deviations = _at_least(scatter.diagonal(dim1=1, dim2=2).sqrt()).to(self.deviations)
        by = self.deviations.double().where(self.deviations > 0, 1.0)
        scatter = scatter.div_(by[:, :, None]).div_(by[:, None])
        self.scatter_codes = _encoded(pack_upper(scatter), self.scatter_codes)

    def _keep_means(self, means: Float[Tensor, "new blocks width"]) -> None:
        scales = _at_least(means.abs().amax(dim=2)).to(self.mean_scales)
        fractions = means / scales.double().where(scales > 0, 1.0)[..., None]
        self.mean_scales = torch.cat([self.mean_scales, scales])
        self.mean_codes = torch.cat([self.mean_codes, _encoded(fractions, self.mean_codes)])

    def _load_from_state_dict(self, state_dict: Mapping[str, Tensor], prefix: str, *args: Any, **kwargs: Any) -> None:
        own = below(prefix, state_dict)
        if "scatter" in own:
            state_dict = {f"{prefix}{name}": value for name, value in self._of_version_0_1(own).items()}
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def _of_version_0_1(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the state for one that holds means and one scatter in floating point."""
        encoded = deepcopy(self)
        encoded.mean_codes, encoded.mean_scales = encoded.mean_codes[:0], encoded.mean_scales[:0]
        encoded._keep_means(state["means"].double().unflatten(1, encoded.deviations.shape))
        if not state["scatter"].is_meta:
            upper = unpack_upper(state["scatter"])[None]
            encoded._keep_scatter(upper + upper.triu(1).mT)
        return {**encoded.state_dict(), "counts": state["counts"], "fourth": state["fourth"]}


def _at_least(numbers: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    # A scale that float32 rounds is not below what it scales.
    return numbers * (1 + 2**-22)


def _encoded(fractions: Float[Tensor, "*any"], like: Tensor) -> Int[Tensor, "*any"]:
    most = _most(like)
    return (fractions * most).round().clamp(-most, most).to(like)


def _decoded(codes: Int[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    return codes.double() / _most(codes)


def _most(codes: Tensor) -> int:
    # What float64 holds exactly: more than 53 bits are in no number here.
    return min(torch.iinfo(codes.dtype).max, 2**53)


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
    block: Block, covariance: Float[Tensor, "width width"]
) -> tuple[Float[Tensor, "slots width"], Float[Tensor, " slots"]]:
    """Return weight and bias of the scores  m L x - m L m / 2, L the inverse of a positive definite covariance.

    They differ from minus half the squared Mahalanobis distance by x L x / 2, which is the same for all classes.
    """
    weight = torch.cholesky_solve(block.means.T, torch.linalg.cholesky(covariance)).T
    return weight, -0.5 * (weight * block.means).sum(dim=1)


def damped_discriminant(
    block: Block, covariance: Float[Tensor, "width width"]
) -> tuple[Float[Tensor, "slots width"], Float[Tensor, " slots"]]:
    """Return weight and bias of `discriminant` with the means drawn towards their common centre, and from there.

    A mean of n clips is its class's true one and noise. With distances measured by L, the inverse covariance, let t be
    the mean squared distance of a clip from its class's mean, and b that of a class's true mean from the centre, as the
    counts and means imply it (DerSimonian and Laird, Meta-analysis in clinical trials, 1986, equation 8). The expected
    true mean is then the centre and b / (b + t / n) of the way to the mean: classes that do not differ in a block get
    no score from it.
    """
    counts, means = block.counts, block.means
    factor = torch.linalg.cholesky(covariance)
    freedom = block.clips - len(counts)
    noise = float(torch.cholesky_solve(block.covariance, factor).trace()) * block.clips / max(freedom, 1)
    from_all = means - counts @ means / block.clips
    apart = counts @ (from_all * torch.cholesky_solve(from_all.T, factor).T).sum(dim=1)
    weighed = block.clips - float(counts.square().sum()) / block.clips
    between = max((float(apart) - (len(counts) - 1) * noise) / weighed, 0.0) if weighed > 0 else 0.0
    kept = between / (between + noise / counts) if between + noise > 0 else torch.ones_like(counts)
    shares = kept / kept.sum() if between > 0 else counts / block.clips
    centre = shares @ means
    moved = kept[:, None] * (means - centre)
    weight = torch.cholesky_solve(moved.T, factor).T
    return weight, -(weight * (centre + moved / 2)).sum(dim=1)


def side_by_side(
    parts: Iterable[tuple[Float[Tensor, "slots _"], Float[Tensor, " slots"]]],
) -> tuple[Float[Tensor, "slots numbers"], Float[Tensor, " slots"]]:
    """Return weight and bias of the sum of the blocks' scores."""
    weights, biases = zip(*parts, strict=True)
    return torch.cat(weights, dim=1), torch.stack(biases).sum(dim=0)


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
