"""From a task's clips to exemplars, and from exemplars to batches."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from essential.errors import ConfigError
from essential.memory.episodic import EpisodicMemory
from essential.memory.selection import random_clips, random_positions
from essential.methods.contract import Batch, TaskData


@dataclass(frozen=True)
class MemoryClips:
    """The exemplars of a memory as training data: every epoch sees the same features."""

    memory: EpisodicMemory

    def __len__(self) -> int:
        return len(self.memory)

    @property
    def names(self) -> Sequence[str]:
        """The video of every exemplar."""
        return self.memory.names

    @property
    def slots(self) -> Int[Tensor, " clips"]:
        """The class of every exemplar."""
        return self.memory.slots

    def epoch(self, epoch: int) -> "MemoryClips":  # noqa: ARG002
        """Return the exemplars; they have one view."""
        return self

    def rows(self, indices: Int[Tensor, " batch"]) -> Batch:
        """Return the exemplars at `indices`."""
        memory = self.memory
        return Batch(memory.features[indices], memory.positions[indices], memory.slots[indices], memory.tasks[indices])


def random_exemplars(task: TaskData, *, per_class: int, kept: int, generator: torch.Generator) -> EpisodicMemory:
    """Choose clips of the task's own slots at random, and `kept` random frames of each, from the plain view.

    As the authors' code does (`rehearsal_samples_per_class`, `fs_topk`): `random.sample` per class, and positions
    drawn without replacement and sorted.
    """
    table = task.plain()
    chosen = random_clips(table.slots, per_class, generator=generator)
    clips = table.rows(chosen)
    positions = random_positions(len(chosen), kept=kept, frames=clips.features.shape[1], generator=generator)
    names = table.names
    return EpisodicMemory(
        take_frames(clips.features, positions),
        positions,
        clips.slots,
        clips.tasks,
        tuple(names[index] for index in chosen.tolist()),
    )


def take_frames(features: Tensor, positions: Int[Tensor, "batch kept"]) -> Tensor:
    """Return from (batch, frames, dim) the frames at `positions`: (batch, kept, dim)."""
    return features.gather(1, positions[..., None].expand(-1, -1, features.shape[-1]))


def check_frames_kept(kept: int, frames: int) -> None:
    """Refuse to keep more frames than a clip has.

    Raises:
        ConfigError: `kept` is larger than `frames`.
    """
    if kept > frames:
        raise ConfigError(
            f"method.frames_kept={kept} is more than the clip's video.frames={frames}; use {frames} at most"
        )
