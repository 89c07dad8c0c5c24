"""Tasks of made-up frame features, which need no video: each class has its own direction, and its own motion."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from essential.methods.contract import Batch
from essential.models.text_scores import Words

DIM, FRAMES = 24, 8


@dataclass
class SyntheticTable:
    """Dense clips; raises if it is read after its task was closed."""

    features: Tensor
    slots: Tensor
    tasks: Tensor
    owner: "SyntheticTask"

    def __len__(self) -> int:
        return len(self.slots)

    @property
    def names(self) -> Sequence[str]:
        return [f"task-{self.owner.index}/clip-{row}" for row in range(len(self))]

    def rows(self, indices: Tensor) -> Batch:
        if self.owner.closed:
            raise AssertionError(f"training clips of task {self.owner.index} were read after the task")
        positions = torch.arange(self.features.shape[1]).expand(len(indices), -1)
        return Batch(self.features[indices], positions, self.slots[indices], self.tasks[indices])


@dataclass
class SyntheticTask:
    """A task's training clips, of `all_slots` or its own, with other noise each epoch; unreadable once `closed`."""

    index: int
    slots: range
    per_class: int = 6
    frames: int = FRAMES
    dim: int = DIM
    all_slots: range | None = None
    closed: bool = False

    @cached_property
    def words(self) -> Words:
        return words_of(self.slots, dim=self.dim)

    def plain(self) -> SyntheticTable:
        return self._table(0)

    def epoch(self, epoch: int) -> SyntheticTable:
        return self._table(1 + epoch % 3)

    def _table(self, view: int) -> SyntheticTable:
        slots = torch.tensor(self.all_slots or self.slots).repeat_interleave(self.per_class)
        # Labels out of order: nothing may rely on classes arriving as blocks.
        slots = slots[torch.randperm(len(slots), generator=torch.Generator().manual_seed(self.index))]
        features = clips_of(slots, frames=self.frames, dim=self.dim, seed=100 * self.index + view)
        tasks = torch.where(slots >= self.slots.start, self.index, 0)
        return SyntheticTable(features, slots, tasks, self)


def clips_of(slots: Tensor, *, frames: int = FRAMES, dim: int = DIM, seed: int = 0) -> Tensor:
    """Return (clips, frames, dim): frame t of a class is a class direction plus t times a class motion, with noise."""
    classes, of_row = slots.unique(return_inverse=True)
    directions = torch.zeros(2, len(classes), 1, dim)
    for place, slot in enumerate(classes.tolist()):
        directions[0, place], directions[1, place] = _direction(2 * slot, dim), _direction(2 * slot + 1, dim)
    still, motion = directions[:, of_row]
    time = torch.linspace(-1, 1, frames)[None, :, None]
    noise = torch.randn(len(slots), frames, dim, generator=torch.Generator().manual_seed(seed))
    clips: Tensor = still + time * motion + 0.1 * noise
    return clips


def words_of(slots: Sequence[int], *, dim: int = DIM) -> Words:
    """Return words of classes that say in which direction they are, and nothing of their motion."""
    projection = torch.linalg.qr(torch.randn(dim, dim, generator=torch.Generator().manual_seed(0)))[0][: dim * 2 // 3]
    vectors = torch.stack([projection @ _direction(2 * slot, dim) for slot in slots])
    return Words(torch.nn.functional.normalize(vectors, dim=1), projection, scale=20.0)


def make_tasks(sizes: Sequence[int], *, all_tasks: bool = False, **clips: Any) -> list[SyntheticTask]:
    """Return tasks with so many classes each; with `all_tasks`, each holds the clips of the earlier ones too."""
    stops = accumulate(sizes)
    return [
        SyntheticTask(index, range(stop - size, stop), all_slots=range(stop) if all_tasks else None, **clips)
        for index, (size, stop) in enumerate(zip(sizes, stops, strict=True))
    ]


def _direction(seed: int, dim: int) -> Tensor:
    return torch.randn(dim, generator=torch.Generator().manual_seed(seed))
