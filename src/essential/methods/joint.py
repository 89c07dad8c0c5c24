"""Joint training: after each task, train anew on the clips of all tasks so far. The upper bound.

It breaks the rule of class-incremental learning on purpose (`needs_all_tasks`), and the record says so. The
classifier starts from the same initial values each time, so the last row of the accuracy matrix is what training
once on everything gives.
"""

from collections.abc import Sequence
from typing import Literal

import torch

from essential.methods.classifier import ClassifierConfig, build_classifier, cross_entropy, grow_head, logits_of
from essential.methods.contract import Batch, LossTerm, Stage, TaskData
from essential.methods.trained import Trained
from essential.schema import Section


class JointConfig(Section):
    """Joint training's settings."""

    name: Literal["joint"] = "joint"
    classifier: ClassifierConfig = ClassifierConfig()


class Joint(Trained[JointConfig]):
    """See the top of this file."""

    Config = JointConfig

    needs_all_tasks = True

    def begin(self, task: TaskData) -> None:
        """Start again with a fresh classifier that has a row for every slot so far."""
        self.slots.append(task.slots)
        self.classifier = build_classifier(self.config.classifier, dim=self.dim, frames=self.frames, seed=self.seed)
        for slots in self.slots:
            grow_head(self.classifier, slots, seed=self.seed)
        self.network["predictor"] = self.classifier

    def stages(self, task: TaskData) -> Sequence[Stage]:
        """One stage on the clips of all tasks so far."""
        return [Stage("joint", lambda: task, [self.classifier], self.epochs, steady=True)]

    def losses(self, stage: str, batch: Batch, *, generator: torch.Generator) -> Sequence[LossTerm]:  # noqa: ARG002
        """Cross-entropy over all slots seen."""
        logits = logits_of(self.classifier, batch)
        return [LossTerm("classification", cross_entropy(logits, batch.slots))]
