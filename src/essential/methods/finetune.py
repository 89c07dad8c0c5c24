"""Finetune: train on each task's clips and do nothing against forgetting. The lower bound.

One stage per task: cross-entropy over all slots seen so far (TCD and vCLIMB list it so; a loss over the task's own
slots alone would hide most of the forgetting behind the old rows of the head).
"""

from collections.abc import Sequence
from typing import Literal

import torch

from essential.memory.episodic import EpisodicMemory
from essential.methods.classifier import ClassifierConfig, build_classifier, cross_entropy, grow_head, logits_of
from essential.methods.contract import Batch, LossTerm, Method, Stage, TaskData
from essential.schema import Section


class FinetuneConfig(Section):
    """Finetune's settings."""

    name: Literal["finetune"] = "finetune"
    classifier: ClassifierConfig = ClassifierConfig()


class Finetune(Method):
    """See the top of this file."""

    Config = FinetuneConfig

    def __init__(self, config: FinetuneConfig, *, dim: int, frames: int, epochs: int, seed: int) -> None:
        self.epochs, self.seed = epochs, seed
        self.classifier = build_classifier(config.classifier, dim=dim, frames=frames, seed=seed)
        super().__init__(self.classifier, EpisodicMemory.empty(kept=frames, dim=dim))

    def begin(self, task: TaskData) -> None:
        """Grow the head."""
        self.slots.append(task.slots)
        grow_head(self.classifier, task.slots, seed=self.seed)

    def stages(self, task: TaskData) -> Sequence[Stage]:
        """One stage on the task's clips."""
        return [Stage("task", lambda: task, [self.classifier], self.epochs, steady=True)]

    def losses(self, stage: str, batch: Batch, *, generator: torch.Generator) -> Sequence[LossTerm]:  # noqa: ARG002
        """Cross-entropy over all slots seen."""
        logits = logits_of(self.classifier, batch)
        return [LossTerm("classification", cross_entropy(logits, batch.slots))]
