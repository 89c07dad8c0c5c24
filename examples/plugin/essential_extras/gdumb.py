"""GDumb (ECCV 2020): a fresh classifier after each task, trained on the memory alone.

Prabhu, Torr and Dokania, "GDumb: A Simple Approach that Questions Our Progress in Continual Learning":

1. keep a memory that is balanced over the classes seen, chosen at random;
2. after each task, train a classifier from its initial values on the memory alone.

Differs from the paper: its sampler is greedy over a stream; a task's clips are all here at once, so they are drawn.
"""

from collections.abc import Sequence
from typing import Literal

from essential.memory.selection import Policy
from essential.methods.contract import Stage, TaskData
from essential.methods.exemplars import MemoryClips, MemoryConfig
from essential.methods.trained import Trained, TrainedConfig


class GDumbConfig(MemoryConfig, TrainedConfig):
    name: Literal["gdumb"] = "gdumb"
    policy: Policy = "reservoir"


class GDumb(Trained[GDumbConfig]):
    Config = GDumbConfig

    def begin(self, task: TaskData) -> None:
        """Start again with a fresh classifier."""
        self.slots.append(task.slots)
        self.start_again()

    def stages(self, task: TaskData) -> Sequence[Stage]:
        """One stage, on the memory alone."""
        return [
            Stage("memory", lambda: MemoryClips(self.memory), [self.classifier], prepare=lambda: self.remember(task))
        ]
