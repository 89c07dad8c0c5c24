"""EWC: hold each parameter near its old value, the more firmly the more the old tasks' likelihood depends on it.

Kirkpatrick et al., "Overcoming catastrophic forgetting in neural networks", PNAS 2017, equation 3.

For each task, without any exemplar:

1. train on the task's clips: cross-entropy over all slots seen, plus weight * sum over the tasks before of
   sum over p of F_p (theta_p - theta*_p)^2, where theta* are the values after that task and F its importances;
2. take the importances of the task just learned, and add its penalty to the others (`anchor.py`: exact, and no larger
   for more tasks).

`importance` says what F is; the two are different quantities, each with a weight of its own:

- `fisher`: the diagonal of the Fisher information, the mean over the task's clips of the squared gradient of the
  log-likelihood of one label per clip. The label is drawn from the classifier's own prediction, which is what the
  Fisher information means; with the true label it would be another quantity, the empirical Fisher.
- `vclimb`: what vCLIMB's code takes (Villa et al., CVPR 2022): the square of the gradient of the cross-entropy with
  the true label, accumulated over the whole task. Gradients of different clips cancel, and its size grows with the
  square of the number of batches.

The weight of `vclimb` is vCLIMB's; that of `fisher` was the best of 10, 30, 100 ... 100000 on `moving-digits`.

Differs from the paper: `weight` is the paper's lambda / 2. The paper's tasks share one output; here the head grows, and
rows that are new are free. The optimiser is the engine's AdamW (the paper: SGD).

Differs from vCLIMB's code, for `vclimb`: AdamW, not Adagrad; importances are taken in evaluation on clips without
augmentation, not with dropout.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from essential.methods.anchor import Anchored
from essential.methods.classifier import cross_entropy
from essential.methods.contract import TaskData
from essential.methods.importance import accumulated_gradient, drawn_slots, mean_over_clips
from essential.methods.trained import TrainedConfig
from essential.models.seeded import torch_generator

Importance = Literal["fisher", "vclimb"]
WEIGHTS: dict[Importance, float] = {"fisher": 100.0, "vclimb": 3000.0}


class EWCConfig(TrainedConfig):
    """EWC's settings."""

    name: Literal["ewc"] = "ewc"
    importance: Importance = Field(
        "fisher", description="mean of squared gradients, as the paper; or the square of their sum, as vCLIMB's code"
    )
    weight: float | None = Field(
        None,
        ge=0,
        description=f"of the penalty; none: {WEIGHTS['fisher']:g} for fisher, {WEIGHTS['vclimb']:g} for vclimb",
    )


class EWC(Anchored[EWCConfig]):
    """See the top of this file."""

    Config = EWCConfig

    def __init__(self, config: EWCConfig, *, dim: int, frames: int, seed: int) -> None:
        weight = WEIGHTS[config.importance] if config.weight is None else config.weight
        super().__init__(config, dim=dim, frames=frames, seed=seed, weight=weight)

    def importances(self, task: TaskData) -> dict[str, Tensor]:
        """See the top of this file."""
        table = task.plain()
        if self.config.importance == "vclimb":
            gradient = accumulated_gradient(cross_entropy, classifier=self.classifier, table=table)
            return {name: value.square() for name, value in gradient.items()}
        generator = torch_generator(self.seed, "fisher", task.index)
        slots = drawn_slots(self.classifier, table, generator=generator)
        return mean_over_clips(torch.square, cross_entropy, classifier=self.classifier, table=table, slots=slots)
