"""Training data in two parts: what is learned from, and what is held out to judge the learned by."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from essential.methods.contract import Batch, BatchTable, TrainingData


def hold_out(
    slots: Int[Tensor, " clips"], quotas: Int[Tensor, " slots"], *, generator: torch.Generator
) -> tuple[Int[Tensor, " learned"], Int[Tensor, " held"]]:
    """Draw the clips that are held out, at most `quotas` of each slot; return the indices of the others, then theirs.

    Every slot keeps a clip to learn from. A slot of a single clip has it in both parts.
    """
    counts = torch.bincount(slots, minlength=len(quotas))
    quotas = quotas.minimum(counts - 1).clamp(min=1)
    order = torch.randperm(len(slots), generator=generator)
    order = order[slots[order].argsort(stable=True)]
    sorted_slots = slots[order]
    rank = torch.arange(len(order)) - (counts.cumsum(0) - counts)[sorted_slots]
    held = rank < quotas[sorted_slots]
    learned = ~held | (counts == 1)[sorted_slots]
    return order[learned].sort().values, order[held].sort().values


@dataclass(frozen=True)
class PartOfClips:
    """Those clips of `data` that `choose` finds by their slots; it must find the same ones every time."""

    data: TrainingData
    choose: Callable[[Int[Tensor, " clips"]], Int[Tensor, " part"]]

    def epoch(self, epoch: int) -> "PartTable":
        """Return the part as this epoch sees it."""
        table = self.data.epoch(epoch)
        return PartTable(table, self.choose(table.slots))


@dataclass(frozen=True)
class PartTable:
    """One view of `PartOfClips`."""

    table: BatchTable
    part: Int[Tensor, " part"]

    def __len__(self) -> int:
        return len(self.part)

    @property
    def names(self) -> Sequence[str]:
        """The video of every clip."""
        names = self.table.names
        return [names[index] for index in self.part.tolist()]

    @property
    def slots(self) -> Int[Tensor, " part"]:
        """The class of every clip."""
        return self.table.slots[self.part]

    def rows(self, indices: Int[Tensor, " batch"]) -> Batch:
        """Return the part's clips at `indices`."""
        return self.table.rows(self.part[indices])
