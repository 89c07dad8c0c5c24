"""LwF: learn new classes while the old ones' answers to the new clips stay what they were.

Li & Hoiem, "Learning without Forgetting", ECCV 2016, equations 1 to 3.

For each task, without any exemplar:

1. keep a frozen copy of the classifier as it is: the teacher;
2. grow the head, and train on the task's clips: cross-entropy among the task's own slots, plus weight * distillation,
   the cross-entropy between the teacher's and the classifier's probabilities of the old slots, both at temperature 2
   (equations 2 and 3; no factor T^2), so that the old rows of the head learn from the teacher alone;
3. drop the teacher. Nothing but the classifier is carried to the next task, and the ledger is empty: the teacher is a
   copy of what is carried anyway.

Differs from the paper: there every old task is a head of its own, with a distillation loss among its own classes, and
is given the task of a test image; here one softmax runs over all old slots, because all are compared in a test.
The paper trains the new rows alone first (a warm-up); here all trains from the start. The teacher answers each view of
a clip as it comes, in evaluation; the paper records its answers once. The optimiser is the engine's AdamW, not SGD.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field

from essential.methods.contract import Batch, LossTerm
from essential.methods.trained import Trained, TrainedConfig, cross_entropy, distillation, logits_of
from essential.models.classifier import ClipClassifier


class LwFConfig(TrainedConfig):
    name: Literal["lwf"] = "lwf"
    weight: float = Field(1.0, ge=0, description="of the distillation (the paper's lambda_o)")


class LwF(Trained[LwFConfig]):
    Config = LwFConfig

    distils = True

    def losses(self, stage: str, batch: Batch, *, generator: torch.Generator) -> Sequence[LossTerm]:  # noqa: ARG002
        """Cross-entropy among the task's slots, and distillation of the old ones."""
        logits = logits_of(self.classifier, batch)
        own = LossTerm("classification", cross_entropy(logits, batch.slots, among=self.slots[-1]))
        teacher = self.teacher(ClipClassifier)
        if teacher is None:
            return [own]
        with torch.no_grad():
            wanted = teacher(batch.features)
        return [own, LossTerm("distillation", distillation(logits[:, : wanted.shape[1]], wanted), self.config.weight)]
