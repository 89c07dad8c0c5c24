"""The UCF101 20-task recipe of vCLIMB on made-up features: its sizes are the real ones, its clips are noise.

What a step costs does not depend on what the features say; so the method gets to a task without having learned those
before.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from essential.engine.config import load_config
from essential.engine.settings import RunConfig
from essential.methods import build_method
from essential.methods.contract import Batch, Stage
from essential.methods.essential import Essential, EssentialConfig

DIM, FRAMES = 768, 8
CLASSES, TASKS = 101, 20
TRAINING_CLIPS, TEST_CLIPS = 9_280, 2_726
STARTS = [CLASSES * task // TASKS for task in range(TASKS + 1)]


def recipe() -> RunConfig:
    """Return the shipped config."""
    return load_config("vclimb/ucf101-20", ["data.path=the-sizes-alone.json", "data.root=."])


@dataclass
class NoiseTable:
    """Clips of random numbers."""

    features: Tensor
    slots: Tensor
    tasks: Tensor

    def __len__(self) -> int:
        return len(self.slots)

    @property
    def names(self) -> Sequence[str]:
        """A name for every clip."""
        return [f"v_SomeAction_g{row:04d}.avi" for row in range(len(self))]

    def rows(self, indices: Tensor) -> Batch:
        """Gather clips."""
        positions = torch.arange(FRAMES).expand(len(indices), FRAMES)
        return Batch(self.features[indices], positions, self.slots[indices], self.tasks[indices])


class NoiseTask:
    """A task of the recipe's size; every epoch sees the same clips."""

    def __init__(self, index: int) -> None:
        self.index, self.words = index, None
        self.slots = range(STARTS[index], STARTS[index + 1])
        clips = TRAINING_CLIPS * self.slots.stop // CLASSES - TRAINING_CLIPS * self.slots.start // CLASSES
        slots = self.slots.start + torch.arange(clips) % len(self.slots)
        features = torch.randn(clips, FRAMES, DIM, generator=torch.Generator().manual_seed(index))
        self._table = NoiseTable(features, slots, torch.full_like(slots, index))

    def epoch(self, epoch: int) -> NoiseTable:  # noqa: ARG002
        """Return the clips."""
        return self._table

    def plain(self) -> NoiseTable:
        """Return the clips."""
        return self._table


def before_rehearsal(config: RunConfig, index: int) -> tuple[Essential, Sequence[Stage]]:
    """Return the method in task `index`, its memory filled, and the task's stages; nothing was trained."""
    assert isinstance(config.method, EssentialConfig)
    method = build_method(config.method, dim=DIM, frames=FRAMES, seed=0)
    assert isinstance(method, Essential)
    for task in map(NoiseTask, range(index + 1)):
        method.begin(task)
        stages = method.stages(task)
        stages[1].prepare()
    return method, stages
