"""FeCAM: class means and covariances on frozen features, distances by Mahalanobis.

Source: Goswami, Liu, Twardowski and van de Weijer, FeCAM: Exploiting the Heterogeneity of Class Distributions in
Exemplar-Free Continual Learning, NeurIPS 2023, section 3: covariance shrinkage, correlation normalisation, Mahalanobis
distance; many-shot (a covariance per class) and few-shot (one for all).

1. a clip is a vector of length 1: the mean of its frames, its frames side by side, or its spectrum over time, each
   coefficient of which is a block;
2. keep each class's mean and a covariance per block, or one of all clips about their class's mean (`shared`);
3. add `shrinkage` times the mean variance to every variance, and scale the matrix to a correlation matrix;
4. a clip belongs to the class whose mean is nearest by the inverse of that matrix.

Differs from the paper:
- No Tukey transformation, which the paper has for ReLU features. These have both signs, and on moving-digits a signed
  square root gives 0.93 instead of 0.96 (shared, frames side by side).
- With one covariance, a class's mean is the one expected of its clips and of all classes, as in `slda.py`; the paper's
  is that of its clips (`means: plain`).
- Nothing is added off the diagonal (the paper's gamma_2), as in the authors' scripts for transformers.

Differs from the authors' code: a class of one clip, or of equal ones, has the identity as its correlations. Their
shared covariance is of each task's vectors about the task's mean, mixed by the tasks' shares of classes, and is not
scaled to correlations; here it does not depend on the tasks.
"""

from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from essential.methods.closed_form import ClosedForm, DiscriminantConfig
from essential.methods.discriminant import discriminant, expected_discriminant, side_by_side
from essential.methods.statistics import Block, ClassStatistics
from essential.models.closed_form import ClipVector, LinearScores, MahalanobisDistances


class FecamConfig(DiscriminantConfig):
    name: Literal["fecam"] = "fecam"
    covariance: Literal["class", "shared"] = Field(
        "class", description="each class its own, which takes much room for wide vectors; or one for all"
    )
    shrinkage: float = Field(1.0, gt=0, description="times the mean variance, added to every variance (gamma_1)")


class Fecam(ClosedForm[FecamConfig, LinearScores | MahalanobisDistances]):
    Config = FecamConfig
    unit_length = True

    def make(
        self,
        vectors: ClipVector,
        seed: int,  # noqa: ARG002
    ) -> tuple[LinearScores | MahalanobisDistances, ClassStatistics]:
        kind = LinearScores if self.config.covariance == "shared" else MahalanobisDistances
        return kind(vectors, width=vectors.width), self.statistics_of(vectors, self.config.covariance)

    def score(self) -> None:
        scores, statistics = self.scores, self.statistics
        if isinstance(scores, LinearScores):
            weight, bias = side_by_side(map(self._solve, statistics.blocks()))
            scores.set(statistics.widened(weight), bias)
            return
        slots = range(len(statistics.counts))
        own = (torch.stack([self._correlations(block) for block in statistics.blocks(slot)]) for slot in slots)
        scores.set(statistics.means, own, statistics.directions())

    def _solve(self, block: Block) -> tuple[Float[Tensor, "slots width"], Float[Tensor, " slots"]]:
        covariance = self._correlations(block)
        if self.config.means == "plain":
            return discriminant(block, covariance)
        # So much is added to it that a clip hardly shows in the matrix by which it is measured: as if all were shrunk.
        return expected_discriminant(block, covariance, 1.0)

    def _correlations(self, block: Block) -> Float[Tensor, "width width"]:
        return correlations(block.covariance, added=self.config.shrinkage, negligible=block.negligible)


def correlations(
    covariance: Float[Tensor, "width width"], *, added: float, negligible: float
) -> Float[Tensor, "width width"]:
    """Return the correlations of a covariance, every variance raised by `added` times their mean (gamma_1).

    The identity where the trace is `negligible`.
    """
    identity = torch.eye(len(covariance), dtype=covariance.dtype, device=covariance.device)
    trace = covariance.trace()
    if float(trace) <= negligible:
        return identity
    raised = covariance + added * trace / len(covariance) * identity
    deviations = raised.diagonal().sqrt()
    return raised / torch.outer(deviations, deviations)
