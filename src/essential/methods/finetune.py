"""Finetune: train on each task's clips and do nothing against forgetting. The lower bound.

One stage per task: cross-entropy over all slots seen so far (TCD and vCLIMB list it so; a loss over the task's own
slots alone would hide most of the forgetting behind the old rows of the head).
"""

from collections.abc import Sequence
from typing import Literal

import torch

from essential.methods.classifier import ClassifierConfig, cross_entropy, logits_of
from essential.methods.contract import Batch, LossTerm, Stage, TaskData
from essential.methods.trained import Trained
from essential.schema import Section


class FinetuneConfig(Section):
    """Finetune's settings."""

    name: Literal["finetune"] = "finetune"
    classifier: ClassifierConfig = ClassifierConfig()


class Finetune(Trained[FinetuneConfig]):
    """See the top of this file."""

    Config = FinetuneConfig

    def stages(self, task: TaskData) -> Sequence[Stage]:
        """One stage on the task's clips."""
        return [Stage("task", lambda: task, [self.classifier], self.epochs, steady=True)]

    def losses(self, stage: str, batch: Batch, *, generator: torch.Generator) -> Sequence[LossTerm]:  # noqa: ARG002
        """Cross-entropy over all slots seen."""
        logits = logits_of(self.classifier, batch)
        return [LossTerm("classification", cross_entropy(logits, batch.slots))]
