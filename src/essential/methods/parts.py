"""A part of a task's clips as a task of its own: what is learned from while other clips are held out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jaxtyping import Int
from torch import Tensor

from essential.methods.contract import Batch, BatchTable, TaskData
from essential.models.text_scores import Words


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
class PartTask:
    """The clips of a task that `choose` finds by the slots of all, the same ones every time."""

    task: TaskData
    choose: Callable[[Int[Tensor, " clips"]], Int[Tensor, " part"]]

    @property
    def index(self) -> int:
        return self.task.index

    @property
    def slots(self) -> range:
        return self.task.slots

    @property
    def words(self) -> Words | None:
        return self.task.words

    def epoch(self, epoch: int) -> PartTable:
        return self._part(self.task.epoch(epoch))

    def plain(self) -> PartTable:
        return self._part(self.task.plain())

    def _part(self, table: BatchTable) -> PartTable:
        return PartTable(table, self.choose(table.slots))
