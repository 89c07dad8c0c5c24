"""A task's clips as vectors, one class at a time: what the methods in closed form compute their statistics from."""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn

from essential.methods.contract import BatchTable, TaskData


def vectors_by_class(
    task: TaskData, vectors: nn.Module, *, device: torch.device
) -> Iterator[Float[Tensor, "clips width"]]:
    """Give the vectors of each class of the task, in order of its slots.

    A class's vectors depend on its own clips alone, to the last bit: whatever is computed from them does not depend on
    how the classes are split into tasks.

    Args:
        task: its own classes' clips are read in the plain view. Augmented views of a clip are no clips of their own, as
            which the choices of shrinkage and ridge would take them.
        vectors: turns frame features (batch, frames, dim) into vectors (batch, width).
        device: where the vectors are computed.
    """
    table = task.plain()
    for slot in task.slots:
        yield _of_slot(table, slot, vectors, device)


def _of_slot(table: BatchTable, slot: int, vectors: nn.Module, device: torch.device) -> Float[Tensor, "clips width"]:
    clips = (table.slots == slot).nonzero()[:, 0]
    found: Tensor = vectors(table.rows(clips).to(device).features)
    return found
