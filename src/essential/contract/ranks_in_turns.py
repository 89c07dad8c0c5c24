"""Ranks in one process that work in turns: what several processes would compute, without starting any.

Each rank is a thread, and one runs at a time, until it sends something. Each has its own state of torch's generator.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import torch
from torch import Tensor

from essential.engine.process_group import Message, ProcessGroup

Result = TypeVar("Result")


class RankInTurn(ProcessGroup):
    """One of the ranks."""

    def __init__(self, rank: int, size: int, table: "_Table") -> None:
        super().__init__(rank, size)
        self._table, self._round = table, 0

    def all_reduce(self, values: Tensor) -> Tensor:
        return torch.stack(self._say(values.detach().clone())).sum(dim=0)

    def broadcast(self, message: Message) -> Message:
        messages: list[Message] = self._say(message)
        return messages[0]

    def all_gather(self, message: Message) -> list[Message]:
        return self._say(message)

    def _say(self, what: Any) -> list[Any]:
        generator = torch.random.get_rng_state()
        said = self._table.rounds.setdefault(self._round, [])
        assert len(said) == self.rank, "the ranks do not say the same things"
        said.append(what)
        self._round += 1
        self._table.hand_over(self.rank)
        self._table.wait_for(self.rank)
        torch.random.set_rng_state(generator)
        assert len(said) == self.size, "a rank ended, and the others have something to say"
        return said


class _Table:
    """Whose turn it is, and what each rank has said in every round."""

    def __init__(self, size: int) -> None:
        self.size, self.whose = size, 0
        self.changed = threading.Condition()
        self.rounds: dict[int, list[Any]] = {}

    def hand_over(self, rank: int) -> None:
        with self.changed:
            self.whose = (rank + 1) % self.size
            self.changed.notify_all()

    def wait_for(self, rank: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.whose == rank, timeout=60), "the other ranks are silent"


def in_turns(work: Callable[[ProcessGroup], Result], *, size: int = 2) -> list[Result]:
    """Return what `work` gives on each of `size` ranks."""
    table, before, cores = _Table(size), torch.random.get_rng_state(), torch.get_num_threads()

    def on_rank(rank: int) -> Result:
        table.wait_for(rank)
        torch.set_num_threads(cores)
        torch.random.set_rng_state(before)
        try:
            return work(RankInTurn(rank, size, table))
        finally:
            table.hand_over(rank)

    with ThreadPoolExecutor(size) as threads:
        return [future.result() for future in [threads.submit(on_rank, rank) for rank in range(size)]]
