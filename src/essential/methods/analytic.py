"""Analytic learning: a ridge classifier whose weights are exact after every task, as if all clips were still there.

Source: Zhuang, Weng, Wei, Xie, Toh and Lin, ACIL: Analytic Class-Incremental Learning with Absolute Memorization and
Privacy Protection, NeurIPS 2022, equation 4 (the joint solution) and equations 9 and 10 (its recursion).

1. a clip is a vector: the mean of its frames, its frames side by side, or its spectrum over time;
2. keep each class's mean and count, and the scatter of all clips about their class's mean, for each coefficient of a
   spectrum one;
3. after each task, solve the ridge regression of the class indicators on the vectors; see `RidgeProblem`;
4. a clip belongs to the class with the largest regressed indicator. The paper's gamma is `ridge`.

Differs from the paper:
- The statistics are kept, in half the bytes, instead of the inverse that its recursion updates. The weights are the
  same, and the ridge can be chosen anew after every task, by generalised cross-validation.
- The regression has an intercept, which is not penalised.
- No random features in between (the paper's expansion): RanPAC, in `ranpac.py`, is this method with them.
- The encoder is frozen; the paper trains it on the first task's classes.
"""

from typing import Literal

from essential.methods.closed_form import Ridge, RidgeConfig


class AnalyticConfig(RidgeConfig):
    name: Literal["analytic"] = "analytic"


class Analytic(Ridge[AnalyticConfig]):
    Config = AnalyticConfig
