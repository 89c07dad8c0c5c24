"""RanPAC: a ridge classifier on random features of frozen features.

Source: McDonnell, Gong, Parvaneh, Abbasnejad and van den Hengel, RanPAC: Random Projections and Pre-trained Models for
Continual Learning, NeurIPS 2023, algorithm 1, phase 2.

1. a clip is a vector: the mean of its frames, its frames side by side, or its spectrum over time;
2. project it at random, once and for all, to `random_features` numbers and cut off below 0;
3. keep each class's mean and count, and the scatter of all clips about their class's mean;
4. after each task, solve the ridge regression of the class indicators on the random features; see `RidgeProblem`.

Differs from the paper:
- The ridge is chosen by generalised cross-validation on the statistics of all clips seen; the paper holds out a fifth
  of each task's clips.
- The regression has an intercept, which is not penalised; the paper's has none.
- 2000 random features instead of 10000, whose Gram matrix takes 400 MB.
- The encoder is not adapted to the first task (the paper's phase 1).
"""

from typing import Literal

from pydantic import Field
from torch import nn

from essential.methods.closed_form import Ridge, RidgeConfig
from essential.methods.statistics import ClassStatistics
from essential.models.closed_form import ClipVector, LinearScores, RandomFeatures
from essential.seeding import seed_from


class RanpacConfig(RidgeConfig):
    """RanPAC's settings; the paper's lambda is `ridge`."""

    name: Literal["ranpac"] = "ranpac"
    random_features: int = Field(2000, ge=1, le=100_000, description="numbers that a clip's vector is projected to (M)")


class Ranpac(Ridge[RanpacConfig]):
    Config = RanpacConfig

    draws_nothing = False

    def make(self, vectors: ClipVector, seed: int) -> tuple[LinearScores, ClassStatistics]:
        number, bits = self.config.random_features, self.config.statistics_bits
        self.random = RandomFeatures(vectors.width, number, seed=seed_from(seed, "ranpac"))
        # A random feature is as good as another: under a budget the first ones are kept.
        statistics = ClassStatistics(number, bits=bits, directed=False)
        return LinearScores(nn.Sequential(vectors, self.random), width=number), statistics
