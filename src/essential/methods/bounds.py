"""What lies below and above all methods: finetuning, and joint training.

- Finetune trains on each task's clips and does nothing against forgetting. The loss is cross-entropy over all slots
  seen (TCD and vCLIMB list it so; a loss over the task's own slots alone would hide most of the forgetting behind the
  old rows of the head).
- Joint training trains anew after each task, on the clips of all tasks so far. It breaks the rule of class-incremental
  learning on purpose (`needs_all_tasks`), and the record says so. The classifier starts from the same initial values
  each time, so the last row of the accuracy matrix is what training once on everything gives.
"""

from collections.abc import Sequence
from typing import Literal

from essential.methods.contract import Stage, TaskData
from essential.methods.trained import Trained, TrainedConfig


class FinetuneConfig(TrainedConfig):
    name: Literal["finetune"] = "finetune"


class Finetune(Trained[FinetuneConfig]):
    Config = FinetuneConfig

    def stages(self, task: TaskData) -> Sequence[Stage]:
        """One stage on the task's clips."""
        return [Stage("task", lambda: task, [self.classifier], steady=True)]


class JointConfig(TrainedConfig):
    name: Literal["joint"] = "joint"


class Joint(Trained[JointConfig]):
    Config = JointConfig

    needs_all_tasks = True

    def begin(self, task: TaskData) -> None:
        """Start again with a fresh classifier."""
        self.slots.append(task.slots)
        self.start_again()

    def stages(self, task: TaskData) -> Sequence[Stage]:
        """One stage on the clips of all tasks so far."""
        return [Stage("joint", lambda: task, [self.classifier], steady=True)]
