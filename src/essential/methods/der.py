"""DER++: Buzzega, Boschini, Porrello, Abati, Calderara, Dark Experience for General Continual Learning, NeurIPS 2020.

1. one stage on the task's clips: cross-entropy over all slots seen;
2. for every batch draw as many exemplars, and hold their logits near those stored with them: mean squared error,
   weight alpha (equation 5);
3. draw as many again, and classify them: cross-entropy, weight beta (equation 6);
4. after the task keep some of its clips with what the classifier now says of them (reservoir).

Differs from the paper: exemplars and their logits are taken once, at the end of a task, from the clips without
augmentation, so the first task has no memory. The reservoir is balanced over classes. The head grows, and logits are
compared for the slots that had arrived. Logits are of the whole clip, also where `frames_kept` keeps a part. AdamW, not
SGD.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from essential.memory.selection import Policy
from essential.methods.contract import Batch, LossTerm, Stage, TaskData
from essential.methods.exemplars import MemoryClips, MemoryConfig
from essential.methods.trained import Trained, TrainedConfig, cross_entropy, logits_of
from essential.models.whole_batch import batch_beside, whole_rows


class DERConfig(MemoryConfig, TrainedConfig):
    """DER++'s settings; the weights are the paper's for a buffer of 500 on split CIFAR-10."""

    name: Literal["der"] = "der"
    policy: Policy = Field("reservoir", description="which clips; the paper's is a reservoir")
    alpha: float = Field(0.2, ge=0, description="weight of the distance to stored logits")
    beta: float = Field(0.5, ge=0, description="weight of the classification of exemplars")


class DER(Trained[DERConfig]):
    Config = DERConfig

    keeps_logits = True

    def stages(self, task: TaskData) -> Sequence[Stage]:
        return [Stage("task", lambda: task, [self.classifier])]

    def losses(self, stage: str, batch: Batch, *, generator: torch.Generator) -> Iterator[LossTerm]:  # noqa: ARG002
        yield LossTerm("classification", cross_entropy(logits_of(self.classifier, batch), batch.slots))
        if len(self.memory):
            matched, labelled = self._draw(batch, generator), self._draw(batch, generator)
            with batch_beside(len(matched)) as rows:
                stored = self.memory.logits[matched[rows]].to(batch.features.device)
                distance = logit_distance(logits_of(self.classifier, self._exemplars(matched[rows], batch)), stored)
                exemplars = self._exemplars(labelled[rows], batch)
                rehearsal = cross_entropy(logits_of(self.classifier, exemplars), exemplars.slots)
            known = (~stored.isnan()).sum()
            yield LossTerm("logit_distance", distance, self.config.alpha, known)
            yield LossTerm("rehearsal", rehearsal, self.config.beta, len(exemplars.slots))

    def _draw(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """Return which exemplars stand beside `batch`: as many as it has clips, or all of a smaller memory."""
        return torch.randperm(len(self.memory), generator=generator)[: whole_rows(len(batch.slots))]

    def _exemplars(self, chosen: Tensor, batch: Batch) -> Batch:
        return MemoryClips(self.memory).rows(chosen).to(batch.features.device)


def logit_distance(logits: Float[Tensor, "batch slots"], stored: Float[Tensor, "batch scored"]) -> Float[Tensor, ""]:
    """Return the mean squared difference over all stored logits; NaN, for slots that came later, is not one."""
    known = ~stored.isnan()
    difference = logits[:, : stored.shape[1]] - stored
    return torch.where(known, difference, 0.0).square().sum() / known.sum()
