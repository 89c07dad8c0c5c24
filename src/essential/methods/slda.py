"""SLDA: streaming linear discriminant analysis on frozen features.

Source: Hayes and Kanan, Lifelong Machine Learning with Deep Streaming Linear Discriminant Analysis, CVPR Workshops
2020, section 3.

1. a clip is a vector: the mean of its frames, its frames side by side, or the first coefficients of their cosine
   transform over time, each of which is a block;
2. keep each class's mean and count, and for each block the scatter of all clips about their class's mean;
3. after each task, shrink the covariance S within classes towards a multiple of the identity, and invert it: L;
4. class k's score of a vector x is  m_k L x - m_k L m_k / 2, summed over the blocks.

Differs from the paper:
- S is exact for any order of clips; the paper's update takes each clip's distance from its class's running mean.
- The shrinkage is Ledoit and Wolf's, towards the mean variance; the paper has 1e-4 towards the identity. On
  moving-digits, frames side by side, the final accuracy is 0.92 instead of 0.78.
- A class's mean is the one expected of its clips and of all classes; see `expected_discriminant`. The paper's is that
  of its clips (`plain`).

Differs from the authors' code: no covariance of a base stage (theirs is OAS's) is needed.
"""

from typing import Literal

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from essential.methods.closed_form import DiscriminantConfig, Linear
from essential.methods.discriminant import chosen_shrinkage, discriminant, expected_discriminant, shrunk, side_by_side
from essential.methods.statistics import Block, ClassStatistics


class SldaConfig(DiscriminantConfig):
    name: Literal["slda"] = "slda"
    shrinkage: float | None = Field(
        None, gt=0, le=1, description="weight of the mean variance in the covariance; none: Ledoit and Wolf's choice"
    )


class Slda(Linear[SldaConfig]):
    Config = SldaConfig

    def solve(self, statistics: ClassStatistics) -> tuple[Float[Tensor, "slots width"], Float[Tensor, " slots"]]:
        return side_by_side(self._solve(block) for block in statistics.blocks())

    def _solve(self, block: Block) -> tuple[Float[Tensor, "slots width"], Float[Tensor, " slots"]]:
        shrinkage = self.config.shrinkage or chosen_shrinkage(block)
        covariance = shrunk(block.covariance, shrinkage, negligible=block.negligible)
        if self.config.means == "plain":
            return discriminant(block, covariance)
        return expected_discriminant(block, covariance, shrinkage)
