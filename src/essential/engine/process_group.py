"""The processes that do a run together, each of them a rank. A process on its own is a group of one."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from essential.errors import TrainingError
from essential.files.sealed import Array
from essential.methods.contract import Method


@dataclass(frozen=True)
class Message:
    """Arrays by name, and a note of JSON values."""

    arrays: Mapping[str, Array] = field(default_factory=dict)
    note: Any = None


class ProcessGroup(ABC):
    """The ranks of a run, seen from one of them. All ranks must call the same of its methods, in the same order.

    Attributes:
        rank: the number of this one, from 0.
        size: how many there are.
    """

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size

    @property
    def first(self) -> bool:
        """Whether this is rank 0, which alone writes, shows and decides."""
        return self.rank == 0

    @abstractmethod
    def all_reduce(self, values: Tensor) -> Tensor:
        """Return the sum over all ranks: tensors of one shape, on their devices."""

    @abstractmethod
    def broadcast(self, message: Message) -> Message:
        """Return rank 0's message on every rank, to the last bit: its SHA-256 is checked."""

    @abstractmethod
    def all_gather(self, message: Message) -> list[Message]:
        """Return all ranks' messages, in their order, on every rank."""

    def from_first(self, make: Callable[[], Any]) -> Any:
        """Return on every rank the JSON value that `make` gives on rank 0."""
        return self.broadcast(Message(note=make() if self.first else None)).note


class SingleProcess(ProcessGroup):
    """A group of one."""

    def __init__(self) -> None:
        super().__init__(0, 1)

    def all_reduce(self, values: Tensor) -> Tensor:
        return values

    def broadcast(self, message: Message) -> Message:
        return message

    def all_gather(self, message: Message) -> list[Message]:
        return [message]


def change(group: ProcessGroup, method: Method, how: Callable[[], None], *, device: torch.device) -> None:
    """Change the method on rank 0, and load its new state on the others: exemplars, for one, are chosen once.

    Parts that were frozen before are not sent, as all ranks have them.
    """
    frozen = tuple(method.frozen_parts)
    if group.first:
        how()
    if group.size > 1:
        state = dict(group.broadcast(Message(method.state_dict(without=frozen) if group.first else {})).arrays)
        if not group.first:
            for part in frozen:
                state |= method.part_state(part)
            method.load_state_dict(state)
    method.network.to(device)


def require_equal(group: ProcessGroup, trained: Sequence[nn.Module]) -> None:
    """Check that what trains has the same values on all ranks.

    Raises:
        TrainingError: it does not; names a rank.
    """
    if group.size == 1:
        return
    digest = hashlib.sha256()
    for module in trained:
        for tensor in module.state_dict().values():
            digest.update(tensor.detach().cpu().contiguous().numpy().data)
    digests = [message.note for message in group.all_gather(Message(note=digest.hexdigest()))]
    others = [rank for rank, each in enumerate(digests) if each != digests[0]]
    if others:
        raise TrainingError(
            f"rank {others[0]} has other weights than rank 0",
            remedy="give all ranks processors, GPUs and a torch of one kind, and run the same command again with "
            "--resume",
        )
