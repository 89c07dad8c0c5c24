"""EWC: hold each parameter near its old value, the more firmly the more the old tasks' likelihood depends on it.

Kirkpatrick et al., "Overcoming catastrophic forgetting in neural networks", PNAS 2017, equation 3.

For each task, without any exemplar:

1. train on the task's clips: cross-entropy over all slots seen, plus weight * sum over the tasks before of
   sum over p of F_p (theta_p - theta*_p)^2, where theta* are the values after that task and F its importances;
2. take the importances of the task just learned, and add its penalty to the others (see `anchor.py`).

`importance` says what F is; each has a weight of its own:

- `fisher`: the diagonal of the Fisher information, the mean over the task's clips of the squared gradient of the
  log-likelihood of one label per clip, drawn from the classifier's prediction (the true label would give the empirical
  Fisher). The weight was the best of 10, 30, 100 ... 100000 on `moving-digits`;
- `vclimb`: as vCLIMB's code (Villa et al., CVPR 2022), the square of the gradient of the cross-entropy with the true
  label, accumulated over the whole task; it grows with the square of the number of batches. The weight is vCLIMB's.

Differs from the paper: `weight` is the paper's lambda / 2; the head grows, and new rows are free; AdamW, not SGD.
Differs from vCLIMB's code, for `vclimb`: AdamW, not Adagrad; importances are taken without dropout and augmentation.
"""

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from essential.methods.anchor import Anchored, AnchoredConfig, accumulated_gradient, drawn_slots, mean_over_clips
from essential.methods.contract import TaskData
from essential.methods.trained import cross_entropy
from essential.seeded import torch_generator


class EWCConfig(AnchoredConfig):
    name: Literal["ewc"] = "ewc"
    importance: Literal["fisher", "vclimb"] = Field(
        "fisher", description="mean of squared gradients, as the paper; or the square of their sum, as vCLIMB's code"
    )
    weight: float | None = Field(None, ge=0, description="of the penalty; none: 100 for fisher, 3000 for vclimb")


class EWC(Anchored[EWCConfig]):
    Config = EWCConfig

    weights: ClassVar[Mapping[str, float]] = {"fisher": 100.0, "vclimb": 3000.0}

    def importances(self, task: TaskData) -> dict[str, Tensor]:
        table = task.plain()
        if self.config.importance == "vclimb":
            gradient = accumulated_gradient(cross_entropy, classifier=self.classifier, table=table)
            return {name: value.square() for name, value in gradient.items()}
        slots = drawn_slots(self.classifier, table, generator=torch_generator(self.seed, "fisher", task.index))
        return mean_over_clips(torch.square, cross_entropy, classifier=self.classifier, table=table, slots=slots)
