"""What is kept of the clips of all classes seen: each class's count and mean, and one scatter of all about their means.

These sums do not depend on the order of the classes or on their split into tasks, so whatever is computed from them
alone does not either.
"""

from collections.abc import Iterable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from essential.memory.ledger import LedgerEntry
from essential.models.closed_form import pack_upper, packed_size, unpack_symmetric
from essential.models.growing import Growing

# Of a mean squared length: what lies below is the rounding of equal vectors, not variance.
_NOTHING = 1e-20


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
        """Count everything, as stored."""
        return statistics_ledger(
            {
                "class counts": self.counts,
                "class means": self.means,
                "scatter within classes": self.scatter,
                "sum of fourth powers": self.fourth,
            }
        )


def statistics_ledger(kept: Mapping[str, Tensor]) -> list[LedgerEntry]:
    """Return an entry for each tensor that is kept instead of exemplars; no paper's memory figure counts such."""
    return [LedgerEntry("statistics", name, tensor.nbytes, in_paper_figure=False) for name, tensor in kept.items()]
