"""SLDA: streaming linear discriminant analysis on frozen features.

Source: Hayes and Kanan, Lifelong Machine Learning with Deep Streaming Linear Discriminant Analysis, CVPR Workshops
2020, section 3.

1. a clip is a vector: the mean of its frames, or its frames side by side;
2. keep each class's mean and count, and the scatter of all clips about their class's mean;
3. after each task, shrink the covariance S within classes towards a multiple of the identity, and invert it: L;
4. class k's score of a vector x is  m_k L x - m_k L m_k / 2.

Differs from the paper:
- S is exact for any order of clips. The paper's update takes each clip's distance from its class's running mean, and
  weighs it by the clips of all classes seen.
- The shrinkage is Ledoit and Wolf's, from the same statistics, and towards the mean variance; the paper has 1e-4
  towards the identity, whatever the scale. On moving-digits, frames side by side, the final accuracy is
  0.92 instead of 0.78.

Differs from the authors' code: no covariance of a base stage (theirs is OAS's) is needed.
"""

from collections.abc import Iterable
from typing import Literal

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from essential.methods.class_statistics import ClassStatistics
from essential.methods.closed_form import ClosedForm
from essential.methods.shrinkage import LEAST, discriminant, ledoit_wolf, shrunk
from essential.models.clip_vectors import ClipForm, clip_vector, clip_width
from essential.models.closed_form import LinearScores
from essential.schema import Section


class SldaConfig(Section):
    """SLDA's settings."""

    name: Literal["slda"] = "slda"
    clip: ClipForm = Field("mean", description="a clip is the mean of its frames, or all of them side by side")
    shrinkage: float | None = Field(
        None, gt=0, le=1, description="weight of the mean variance in the covariance; none: Ledoit and Wolf's choice"
    )


class Slda(ClosedForm[LinearScores]):
    """See the top of this file."""

    Config = SldaConfig

    def __init__(self, config: SldaConfig, *, dim: int, frames: int, epochs: int, seed: int) -> None:
        del epochs, seed
        self.config = config
        width = clip_width(config.clip, dim=dim, frames=frames)
        scores = LinearScores(clip_vector(config.clip), width=width)
        super().__init__(scores, dim=dim, frames=frames, statistics=ClassStatistics(width))

    def learn(self, classes: Iterable[Float[Tensor, "clips width"]]) -> None:
        """Add the classes to the statistics, and compute the scores anew."""
        statistics = self.statistics
        statistics.add(classes)
        covariance = statistics.covariance()
        shrinkage = self.config.shrinkage
        if shrinkage is None:
            shrinkage = max(ledoit_wolf(covariance, float(statistics.fourth), clips=statistics.clips), LEAST)
        inverted = shrunk(covariance, shrinkage, negligible=statistics.negligible)
        self.scores.set(*discriminant(statistics.means.double(), inverted))
