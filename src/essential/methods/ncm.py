"""NCM: the nearest class mean.

Source: Mensink, Verbeek, Perronnin and Csurka, Distance-Based Image Classification: Generalizing to New Classes at
Near-Zero Cost, TPAMI 2013, whose starting point it is.

1. a clip is a vector: the mean of its frames, or its frames side by side, scaled to length 1;
2. keep the mean of each class's vectors;
3. a clip belongs to the class whose mean is nearest.

Differs from the paper: no metric is learned; vectors have length 1, and their means are taken as they come.
"""

from collections.abc import Iterable
from typing import Literal

from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from essential.memory.ledger import LedgerEntry
from essential.methods.class_statistics import statistics_ledger
from essential.methods.closed_form import ClosedForm
from essential.models.clip_vectors import ClipForm, UnitLength, clip_vector, clip_width
from essential.models.closed_form import MeanDistances
from essential.schema import Section


class NcmConfig(Section):
    """NCM's settings."""

    name: Literal["ncm"] = "ncm"
    clip: ClipForm = Field("mean", description="a clip is the mean of its frames, or all of them side by side")


class Ncm(ClosedForm[MeanDistances]):
    """See the top of this file."""

    Config = NcmConfig

    def __init__(self, config: NcmConfig, *, dim: int, frames: int, epochs: int, seed: int) -> None:
        del epochs, seed
        vectors = nn.Sequential(clip_vector(config.clip), UnitLength())
        scores = MeanDistances(vectors, width=clip_width(config.clip, dim=dim, frames=frames))
        super().__init__(scores, dim=dim, frames=frames)

    def learn(self, classes: Iterable[Float[Tensor, "clips width"]]) -> None:
        """Add the means of the classes."""
        for vectors in classes:
            self.scores.add(vectors.mean(dim=0))

    def ledger(self) -> list[LedgerEntry]:
        """The means; the predictor is nothing else."""
        return statistics_ledger({"class means": self.scores.means})
