"""NCM: the nearest class mean.

Source: Mensink, Verbeek, Perronnin and Csurka, Distance-Based Image Classification: Generalizing to New Classes at
Near-Zero Cost, TPAMI 2013, whose starting point it is.

1. a clip is a vector of length 1: the mean of its frames, its frames side by side, or its spectrum over time;
2. keep the mean of each class's vectors;
3. a clip belongs to the class whose mean is nearest.

Differs from the paper: no metric is learned; vectors have length 1, and their means are taken as they come.
"""

from typing import Literal

from jaxtyping import Float
from torch import Tensor

from essential.methods.closed_form import ClosedFormConfig, Linear
from essential.methods.statistics import ClassStatistics


class NcmConfig(ClosedFormConfig):
    name: Literal["ncm"] = "ncm"


class Ncm(Linear[NcmConfig]):
    Config = NcmConfig
    unit_length = True
    scatters = "none"

    def solve(self, statistics: ClassStatistics) -> tuple[Float[Tensor, "slots width"], Float[Tensor, " slots"]]:
        """Return what gives minus the squared distances, but for a clip's own square, the same for all classes."""
        means = statistics.means.flatten(1)
        return 2 * means, -means.square().sum(dim=1)
