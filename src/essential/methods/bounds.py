"""The lower and the upper bound: finetuning, and joint training.

- Finetune trains on each task's clips: cross-entropy over all slots seen, as TCD and vCLIMB list it. A loss over the
  task's own slots alone would hide most of the forgetting.
- Joint trains a fresh classifier after each task, on the clips of all tasks so far (`needs_all_tasks`; the record says
  so). The last row of the accuracy matrix is what training once on everything gives.
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
        return [Stage("task", lambda: task, [self.classifier], steady=True)]


class JointConfig(TrainedConfig):
    name: Literal["joint"] = "joint"


class Joint(Trained[JointConfig]):
    Config = JointConfig

    needs_all_tasks = True

    def begin(self, task: TaskData) -> None:
        self.slots.append(task.slots)
        self.start_again()

    def stages(self, task: TaskData) -> Sequence[Stage]:
        return [Stage("joint", lambda: task, [self.classifier], steady=True)]
