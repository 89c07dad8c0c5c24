"""What methods around another one share: network, memory and slots are the other's own."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from essential.errors import ConfigError
from essential.memory.episodic import EpisodicMemory
from essential.memory.ledger import LedgerEntry
from essential.methods import METHODS
from essential.methods.contract import Batch, LossTerm, Method, Stage, TaskData


class Wrapper(Method):
    """A method that does what its base does, but for what a subclass says.

    Args:
        base: the settings of one of `METHODS`.
    """

    def __init__(self, base: Any, *, dim: int, frames: int, seed: int) -> None:
        build: Callable[..., Method] = METHODS[base.name]
        with _settings_of_the_base():
            self.base = build(base, dim=dim, frames=frames, seed=seed)
        super().__init__(self.base.predictor, self.base.memory, seed=seed)
        self.network, self.slots = self.base.network, self.base.slots

    @property
    def memory(self) -> EpisodicMemory:
        """The base's exemplars."""
        return self.base.memory

    @memory.setter
    def memory(self, memory: EpisodicMemory) -> None:
        self.base.memory = memory

    @property
    def is_trained(self) -> bool:
        return self.base.is_trained

    @property
    def frozen_parts(self) -> Sequence[str]:
        return self.base.frozen_parts

    def check_room(self, names: Sequence[str], *, tasks: int) -> None:
        with _settings_of_the_base():
            self.base.check_room(names, tasks=tasks)

    def begin(self, task: TaskData) -> None:
        self.base.begin(task)

    def stages(self, task: TaskData) -> Sequence[Stage]:
        return self.base.stages(task)

    def losses(self, stage: str, batch: Batch, *, generator: torch.Generator) -> Iterable[LossTerm]:
        return self.base.losses(stage, batch, generator=generator)

    def finish(self, task: TaskData) -> None:
        self.base.finish(task)

    def rebuilt(self, memory: EpisodicMemory) -> Float[Tensor, "exemplars frames dim"] | None:
        return self.base.rebuilt(memory)

    def ledger(self) -> list[LedgerEntry]:
        return self.base.ledger()


@contextmanager
def _settings_of_the_base() -> Iterator[None]:
    """Name the settings of the base, in its errors, as the user wrote them."""
    try:
        yield
    except ConfigError as error:
        where = None if error.where is None else f"method.base{error.where.removeprefix('method')}"
        raise ConfigError(error.problem, where=where, remedy=error.remedy) from error
