"""Finetune: train on each task's clips and do nothing against forgetting. The lower bound.

The loss is cross-entropy over all slots seen so far (TCD and vCLIMB list it so; a loss over the task's own slots alone
would hide most of the forgetting behind the old rows of the head).
"""

from collections.abc import Sequence
from typing import Literal

from essential.methods.contract import Stage, TaskData
from essential.methods.trained import Trained, TrainedConfig


class FinetuneConfig(TrainedConfig):
    """Finetune's settings."""

    name: Literal["finetune"] = "finetune"


class Finetune(Trained[FinetuneConfig]):
    """See the top of this file."""

    Config = FinetuneConfig

    def stages(self, task: TaskData) -> Sequence[Stage]:
        """One stage on the task's clips."""
        return [Stage("task", lambda: task, [self.classifier], steady=True)]
