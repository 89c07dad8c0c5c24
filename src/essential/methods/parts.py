"""A part of clips on its own, such as what is learned while others are held out; and what is computed of clips."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor, nn

from essential.methods.contract import Batch, BatchTable, TaskData, TrainingData
from essential.models.text_scores import Words
from essential.seeded import in_evaluation

# Finds, by the slots of all clips, the indices of those that are used, the same ones every time.
Choose = Callable[[Int[Tensor, " clips"]], Int[Tensor, " part"]]
_AT_ONCE = 512


@dataclass(frozen=True)
class PartTable:
    """Some rows of a table."""

    table: BatchTable
    part: Int[Tensor, " part"]

    def __len__(self) -> int:
        return len(self.part)

    @property
    def names(self) -> Sequence[str]:
        return [self.table.names[row] for row in self.part.tolist()]

    @property
    def slots(self) -> Int[Tensor, " part"]:
        return self.table.slots[self.part]

    def rows(self, indices: Int[Tensor, " batch"]) -> Batch:
        return self.table.rows(self.part[indices])


@dataclass(frozen=True)
class PartData:
    """The chosen clips of training data."""

    data: TrainingData
    choose: Choose

    def epoch(self, epoch: int) -> PartTable:
        table = self.data.epoch(epoch)
        return PartTable(table, self.choose(table.slots))


@dataclass(frozen=True)
class PartTask(PartData):
    """The chosen clips of a task."""

    data: TaskData

    @property
    def index(self) -> int:
        return self.data.index

    @property
    def slots(self) -> range:
        return self.data.slots

    @property
    def words(self) -> Words | None:
        return self.data.words

    def plain(self) -> PartTable:
        table = self.data.plain()
        return PartTable(table, self.choose(table.slots))


@torch.no_grad()
def computed(compute: Callable[[Batch], Tensor], table: BatchTable, module: nn.Module) -> Tensor:
    """Return, on the CPU, what `compute` gives for a table's clips, some at once, by `module` in evaluation."""
    device = next(iter(module.state_dict().values())).device
    with in_evaluation(module):
        parts = [compute(table.rows(rows).to(device)).cpu() for rows in torch.arange(len(table)).split(_AT_ONCE)]
    return torch.cat(parts)
