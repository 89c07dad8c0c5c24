"""MAS: hold each parameter near its last value, the more firmly the more the classifier's outputs depend on it.

Aljundi et al., "Memory Aware Synapses: Learning what (not) to forget", ECCV 2018, sections 4.1 and 4.2.

For each task, without any exemplar:

1. train on the task's clips: cross-entropy over all slots seen, plus weight * sum over p of
   Omega_p (theta_p - theta*_p)^2, where theta* are the values before the task;
2. add to Omega the importances of the task just learned, and hold to the values that it left; with `vclimb`, each
   task's importances hold to the values that the task itself left (see `anchor.py`).

`importance` says what is added, without labels; each has a weight of its own:

- `per-clip`: the mean over the task's clips of the size of the gradient of the squared L2 norm of the logits. The
  weight was chosen on `moving-digits`, where the paper's lambda of 1 is too large, and 0.001 does nothing;
- `vclimb`: as vCLIMB's code (Villa et al., CVPR 2022), the size of the gradient of the L2 norm, not squared,
  accumulated over the whole task; it grows with the number of batches. The weight is vCLIMB's; on `moving-digits` it
  is so large that the new rows alone are learned.

Differs from the paper: the head grows, and new rows are free; AdamW, not SGD; another default weight.
Differs from vCLIMB's code, for `vclimb`: AdamW; importances are taken without dropout and augmentation.
"""

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from essential.methods.anchor import Anchored, AnchoredConfig, accumulated_gradient, mean_over_clips
from essential.methods.contract import TaskData


class MASConfig(AnchoredConfig):
    name: Literal["mas"] = "mas"
    importance: Literal["per-clip", "vclimb"] = Field(
        "per-clip",
        description="mean of the sizes of gradients, as the paper; or the size of their sum, as vCLIMB's code",
    )
    weight: float | None = Field(None, ge=0, description="of the penalty; none: 0.1 for per-clip, 300000 for vclimb")


class MAS(Anchored[MASConfig]):
    Config = MASConfig

    weights: ClassVar[Mapping[str, float]] = {"per-clip": 0.1, "vclimb": 300000.0}

    def finish(self, task: TaskData) -> None:
        if self.config.importance == "vclimb":
            super().finish(task)
        else:
            self.anchor = self.anchor.moved(self.importances(task), dict(self.classifier.named_parameters()))

    def importances(self, task: TaskData) -> dict[str, Tensor]:
        table = task.plain()
        if self.config.importance == "vclimb":
            sizes = accumulated_gradient(length, classifier=self.classifier, table=table)
            return {name: value.abs() for name, value in sizes.items()}
        return mean_over_clips(torch.abs, squared_length, classifier=self.classifier, table=table, slots=table.slots)


def squared_length(logits: Float[Tensor, "batch slots"], _: Int[Tensor, " batch"]) -> Float[Tensor, ""]:
    """Mean over the batch of the squared L2 norm of the logits."""
    return logits.square().sum(dim=1).mean()


def length(logits: Float[Tensor, "batch slots"], _: Int[Tensor, " batch"]) -> Float[Tensor, ""]:
    """Mean over the batch of the L2 norm of the logits."""
    norms: Tensor = logits.norm(dim=1)
    return norms.mean()
