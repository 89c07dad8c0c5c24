"""Joint training: after each task, train anew on the clips of all tasks so far. The upper bound.

It breaks the rule of class-incremental learning on purpose (`needs_all_tasks`), and the record says so. The
classifier starts from the same initial values each time, so the last row of the accuracy matrix is what training
once on everything gives.
"""

from collections.abc import Sequence
from typing import Literal

from essential.methods.contract import Stage, TaskData
from essential.methods.trained import Trained, TrainedConfig


class JointConfig(TrainedConfig):
    """Joint training's settings."""

    name: Literal["joint"] = "joint"


class Joint(Trained[JointConfig]):
    """See the top of this file."""

    Config = JointConfig

    needs_all_tasks = True

    def begin(self, task: TaskData) -> None:
        """Start again with a fresh classifier."""
        self.slots.append(task.slots)
        self.start_again()

    def stages(self, task: TaskData) -> Sequence[Stage]:
        """One stage on the clips of all tasks so far."""
        return [Stage("joint", lambda: task, [self.classifier], steady=True)]
