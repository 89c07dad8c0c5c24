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
from torch import Tensor, nn

from essential.memory.ledger import LedgerEntry
from essential.methods.closed_form import ClosedForm, ClosedFormConfig
from essential.methods.statistics import statistics_ledger
from essential.models.closed_form import MeanDistances


class NcmConfig(ClosedFormConfig):
    name: Literal["ncm"] = "ncm"


class Ncm(ClosedForm[NcmConfig, MeanDistances]):
    Config = NcmConfig
    unit_length = True

    def make_scores(self, vectors: nn.Module, width: int, seed: int) -> MeanDistances:  # noqa: ARG002
        return MeanDistances(vectors, width=width)

    def learn(self, classes: Iterable[Float[Tensor, "clips width"]]) -> None:
        for vectors in classes:
            self.scores.add(vectors.mean(dim=0))

    def ledger(self) -> list[LedgerEntry]:
        return statistics_ledger({"class means": self.scores.means})
