"""Analytic learning: a ridge classifier whose weights are exact after every task, as if all clips were still there.

Source: Zhuang, Weng, Wei, Xie, Toh and Lin, ACIL: Analytic Class-Incremental Learning with Absolute Memorization and
Privacy Protection, NeurIPS 2022, equation 4 (the joint solution) and equations 9 and 10 (its recursion).

1. a clip is a vector: the mean of its frames, or its frames side by side;
2. keep each class's mean and count, and the scatter of all clips about their class's mean;
3. after each task, solve the ridge regression of the class indicators on the vectors; see `ridge.py`;
4. a clip belongs to the class with the largest regressed indicator.

Differs from the paper:
- The statistics are kept instead of the inverse that its recursion updates. Both give the same weights; but the ridge
  can be chosen anew after every task, by generalised cross-validation, and the bytes are half as many.
- The regression has an intercept, which is not penalised.
- No random features in between (the paper's expansion): RanPAC, in `ranpac.py`, is this method with them.
- Where the paper trains the encoder on the first task's classes, it is frozen here.
"""

from collections.abc import Iterable
from typing import Literal

from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from essential.methods.closed_form import ClosedForm, ClosedFormConfig
from essential.methods.ridge import RidgeProblem
from essential.models.closed_form import LinearScores


class AnalyticConfig(ClosedFormConfig):
    """Analytic learning's settings."""

    name: Literal["analytic"] = "analytic"
    ridge: float | None = Field(None, gt=0, description="the penalty (gamma); none: by generalised cross-validation")


class Analytic(ClosedForm[AnalyticConfig, LinearScores]):
    """See the top of this file."""

    Config = AnalyticConfig

    def make_scores(self, vectors: nn.Module, width: int) -> LinearScores:
        """Linear scores of a clip's vector."""
        return LinearScores(vectors, width=width)

    def learn(self, classes: Iterable[Float[Tensor, "clips width"]]) -> None:
        """Add the classes to the statistics, and solve anew."""
        self.statistics.add(classes)
        problem = RidgeProblem.of(self.statistics)
        self.scores.set(*problem.solve(self.config.ridge or problem.best_ridge()))
