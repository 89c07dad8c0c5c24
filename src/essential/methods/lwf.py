"""LwF: learn new classes while the old ones' answers to the new clips stay what they were.

Li & Hoiem, "Learning without Forgetting", ECCV 2016, equations 1 to 3.

For each task, without any exemplar:

1. keep a frozen copy of the classifier, the teacher;
2. grow the head, and train on the task's clips: cross-entropy among the task's own slots, plus weight * distillation,
   the cross-entropy between the teacher's and the classifier's probabilities of the old slots, both at temperature 2
   (equations 2 and 3), so that the old rows of the head learn from the teacher alone;
3. drop the teacher: nothing but the classifier is carried to the next task, and the ledger is empty.

Differs from the paper: one softmax over all old slots, because a test compares all; there each old task has its own
head and distillation, and a test image's task is known. No warm-up of the new rows. The teacher scores every view of a
clip; the paper records its scores once. AdamW, not SGD.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field

from essential.methods.contract import Batch, LossTerm
from essential.methods.trained import Trained, TrainedConfig, cross_entropy, distillation, logits_of


class LwFConfig(TrainedConfig):
    name: Literal["lwf"] = "lwf"
    weight: float = Field(1.0, ge=0, description="of the distillation (the paper's lambda_o)")


class LwF(Trained[LwFConfig]):
    Config = LwFConfig

    distils = True

    def losses(self, stage: str, batch: Batch, *, generator: torch.Generator) -> Sequence[LossTerm]:  # noqa: ARG002
        logits = logits_of(self.classifier, batch)
        own = LossTerm("classification", cross_entropy(logits, batch.slots, among=self.slots[-1]))
        wanted = self.before(lambda teacher: teacher(batch.features))
        if wanted is None:
            return [own]
        return [own, LossTerm("distillation", distillation(logits[:, : wanted.shape[1]], wanted), self.config.weight)]
