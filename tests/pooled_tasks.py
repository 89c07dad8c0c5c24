"""Tasks cut from one pool of clips, for tests that give the same clips in another order or in other tasks."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from essential.methods.contract import Batch, Method


@dataclass
class PooledTable:
    """Clips with their slots."""

    features: Tensor
    slots: Tensor

    def __len__(self) -> int:
        return len(self.slots)

    @property
    def names(self) -> Sequence[str]:
        return [f"clip-{row}" for row in range(len(self))]

    def rows(self, indices: Tensor) -> Batch:
        positions = torch.arange(self.features.shape[1]).expand(len(indices), -1)
        slots = self.slots[indices]
        return Batch(self.features[indices], positions, slots, torch.zeros_like(slots))


@dataclass
class PooledTask:
    """A task; its views are the clips with a noise that depends on the clip and the view alone."""

    index: int
    slots: range
    clips: PooledTable
    words: None = None

    def plain(self) -> PooledTable:
        return self.clips

    def epoch(self, epoch: int) -> PooledTable:
        noise = torch.sin((epoch + 1) * 1e4 * self.clips.features)
        return PooledTable(self.clips.features + 0.05 * noise, self.clips.slots)


def pooled_tasks(
    features: Tensor, labels: Tensor, order: Sequence[int], sizes: Sequence[int], *, seed: int = 0
) -> list[PooledTask]:
    """Return the tasks in which the classes arrive in `order`, so many at a time; clips are shuffled within a task."""
    tasks, start = [], 0
    slot_of = torch.tensor([list(order).index(label) for label in range(len(order))])
    for index, size in enumerate(sizes):
        mine = torch.isin(labels, torch.tensor(list(order[start : start + size]))).nonzero()[:, 0]
        mine = mine[torch.randperm(len(mine), generator=torch.Generator().manual_seed(seed + index))]
        clips = PooledTable(features[mine], slot_of[labels[mine]])
        tasks.append(PooledTask(index, range(start, start + size), clips))
        start += size
    return tasks


def learn_all(method: Method, tasks: Sequence[PooledTask]) -> None:
    """Do what the engine does with a method that is not trained."""
    for task in tasks:
        method.begin(task)
        method.finish(task)


def make_pool(
    *, classes: int = 6, per_class: int = 7, frames: int = 3, dim: int = 5, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Return clips (clips, frames, dim) and their labels: overlapping classes of unlike size, spread and direction."""
    generator = torch.Generator().manual_seed(seed)
    counts = torch.arange(classes) % 3 + per_class
    labels = torch.arange(classes).repeat_interleave(counts)
    means = torch.randn(classes, frames, dim, generator=generator)
    mixing = torch.randn(dim, dim, generator=generator)
    noise = torch.randn(len(labels), frames, dim, generator=generator) @ mixing
    return means[labels] + noise * (0.5 + labels[:, None, None] / classes), labels
