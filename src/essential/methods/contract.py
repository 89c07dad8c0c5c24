"""What a method defines; the loop, optimiser, devices and files are the engine's.

For each task the engine calls, in this order: `begin`, then `losses` for every batch of every stage that `stages`
names, then `finish`. After a restart a method is what its `state_dict` says, and gives the same stages again; a stage's
data is asked for only when the stage starts.

Without `stages` a method is not trained but computed, in `finish`; without `ledger` it carries its exemplars alone;
without `rebuilt` it uses its exemplars as they are stored.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol, final, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from essential.configs.schema import Section
from essential.files.sealed import Array
from essential.memory.episodic import EpisodicMemory
from essential.memory.ledger import LedgerEntry
from essential.methods.state import pack, pack_network, refuse_other_shapes, state_that_fits, unpack
from essential.models.classifier import Predictor
from essential.models.growing import Parts, below
from essential.models.text_scores import Words


@dataclass(frozen=True)
class Batch:
    """Clips to learn from, dense or sparse, and what a method has rebuilt of each.

    Raises:
        ValueError: the shapes do not fit each other.
    """

    features: Float[Tensor, "batch kept dim"]
    positions: Int[Tensor, "batch kept"]
    slots: Int[Tensor, " batch"]
    tasks: Int[Tensor, " batch"]
    retrieved: Float[Tensor, "batch frames dim"] | None = None

    def __post_init__(self) -> None:
        kept = self.features.shape[:-1]
        if kept != self.positions.shape or not kept[:1] == self.slots.shape == self.tasks.shape:
            shapes = ", ".join(str(tuple(tensor.shape)) for tensor in self.tensors)
            raise ValueError(f"features, positions, slots and tasks of one batch have the shapes {shapes}")

    @property
    def tensors(self) -> list[Tensor]:
        every = (self.features, self.positions, self.slots, self.tasks, self.retrieved)
        return [tensor for tensor in every if tensor is not None]

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on `device`; to a GPU through pinned memory, without waiting for the copy."""
        return Batch(*(_sent(tensor, device) for tensor in self.tensors))


def _sent(tensor: Tensor, device: torch.device) -> Tensor:
    pinned = device.type == "cuda" and not tensor.is_cuda
    return (tensor.contiguous().pin_memory() if pinned else tensor).to(device, non_blocking=pinned)


@runtime_checkable
class BatchTable(Protocol):
    """The clips of one epoch, in one fixed view, gathered by index."""

    def __len__(self) -> int: ...

    @property
    def names(self) -> Sequence[str]:
        """The video of every clip."""
        ...

    @property
    def slots(self) -> Int[Tensor, " clips"]:
        """The class of every clip."""
        ...

    def rows(self, indices: Int[Tensor, " batch"]) -> Batch:
        """Return the clips at `indices`."""
        ...


@runtime_checkable
class TrainingData(Protocol):
    """Clips whose view may change from epoch to epoch."""

    def epoch(self, epoch: int) -> BatchTable:
        """Return the clips as epoch `epoch` (from 0) sees them; every epoch has the same clips in the same order."""
        ...


@runtime_checkable
class TaskData(TrainingData, Protocol):
    """A task: its number from 0, its slots, and its training clips, or with `needs_all_tasks` those of all so far.

    `words` are those of its slots, in their order; None where the classes have none.
    """

    @property
    def index(self) -> int: ...

    @property
    def slots(self) -> range: ...

    @property
    def words(self) -> Words | None: ...

    def plain(self) -> BatchTable:
        """Return the clips without augmentation, as a test would see them."""
        ...


class LossTerm(NamedTuple):
    """A named part of the loss, and its weight.

    Attributes:
        over: how many things `value` is a mean over, if not the batch's clips: ranks that share a batch combine their
            means by it. 0 is allowed, with a finite value.
    """

    name: str
    value: Float[Tensor, ""]
    weight: float = 1.0
    over: Int[Tensor, ""] | int | None = None


def nothing() -> None:
    """Prepare a stage that needs no preparation."""


@dataclass(frozen=True)
class Stage:
    """One training phase inside a task: what trains, on what, for how long. All else is frozen and in evaluation.

    Attributes:
        epochs: how many, 1 or more; None: as the training's settings say.
        prepare: called before the first epoch, after the stages before; not again by a run that resumes in a later
            epoch. It may change the method; the next saved state holds the change.
        learning_rate_scale: times the engine's learning rate.
        steady: every step does the same operations on all batches of one shape, and depends on nothing in Python that
            changes during the stage. Its loss makes tensors on the clips' device alone, reads nothing back, and draws
            only from torch's global generator of that device. The engine may then replay a step as a CUDA graph.

    Raises:
        ValueError: it has no epoch.
    """

    name: str
    data: Callable[[], TrainingData]
    trains: Sequence[nn.Module]
    epochs: int | None = None
    prepare: Callable[[], None] = nothing
    learning_rate_scale: float = 1.0
    steady: bool = False

    def __post_init__(self) -> None:
        if self.epochs is not None and self.epochs < 1:
            raise ValueError(f"the stage {self.name!r} has epochs={self.epochs}; give 1 or more, or leave it out")


class Method(ABC):
    """A class-incremental learning method. It is built as `Method(config, dim=..., frames=..., seed=...)`.

    Attributes:
        Config: its settings.
        needs_all_tasks: the engine gives it the training clips of all tasks so far; the record says so.
        needs_words: every task has to have words.
        draws_nothing: nothing in it is random, so every seed gives the same.
        network: every trained or frozen module; `predictor` is one of them. It is built, and takes the shapes of a
            state, on torch's meta device too, where tensors hold no numbers.
        memory: the exemplars kept.
        slots: the slots of every task begun, in order.
        seed: what every random choice derives from, the order of the clips in training included.
        clip_shape: frames of a clip and numbers per frame, as given to `build_method`; None: it was not built by it.
    """

    Config: ClassVar[type[Section]]
    needs_all_tasks: ClassVar[bool] = False
    needs_words: ClassVar[bool] = False
    draws_nothing: bool = False

    def __init__(self, predictor: Predictor, memory: EpisodicMemory, *, seed: int) -> None:
        self.network = Parts({"predictor": predictor})
        self.memory, self.seed = memory, seed
        self.slots: list[range] = []
        self.clip_shape: tuple[int, int] | None = None

    @abstractmethod
    def begin(self, task: TaskData) -> None:
        """Make room for the task's slots, and choose what can be chosen before training."""

    def check_room(self, names: Sequence[str], *, tasks: int) -> None:  # noqa: B027
        """Refuse, with a ConfigError, a budget without room for one exemplar per class after so many tasks.

        Called before anything is learned, with the longest name of a video of each class.
        """

    def stages(self, task: TaskData) -> Sequence[Stage]:  # noqa: ARG002
        """Return the stages of the task, in order. Called again after a restart; changes nothing."""
        return []

    def losses(self, stage: str, batch: Batch, *, generator: torch.Generator) -> Iterable[LossTerm]:
        """Give the loss of `batch` in parts, computed when asked for; changes nothing.

        Draws from `generator` (CPU), or, as dropout does, from torch's global generator of the batch's device. Ranks
        may share a batch: draw for its clips through `models.whole_batch`, and see `LossTerm.over`.
        """
        raise NotImplementedError(f"{type(self).__name__} names the stage {stage!r} and has no loss for it")

    def finish(self, task: TaskData) -> None:  # noqa: B027
        """Do what comes after the last stage."""

    def rebuilt(self, memory: EpisodicMemory) -> Float[Tensor, "exemplars frames dim"] | None:  # noqa: ARG002
        """Return, on the CPU, the dense clips that it rebuilds of `memory`; None if it rebuilds nothing."""
        return None

    def ledger(self) -> list[LedgerEntry]:
        """Count everything that is carried to the next task beside the predictor."""
        return self.memory.ledger()

    @property
    def frozen_parts(self) -> Sequence[str]:
        """Names of the parts of `network` that will not change again, such as `retrieval.3`; they are saved once."""
        return ()

    @property
    def is_trained(self) -> bool:
        """Whether it has stages. Without any it learns from the plain view alone, so no other need be made for it."""
        return type(self).stages is not Method.stages

    @final
    @property
    def predictor(self) -> Predictor:
        """What scores clips."""
        predictor = self.network["predictor"]
        assert isinstance(predictor, Predictor)
        return predictor

    @final
    def state_dict(self, *, without: Sequence[str] = ()) -> dict[str, Array]:
        """Return everything that must survive a restart, or all of it but some parts of `network`."""
        left_out = tuple(f"{part}." for part in without)
        kept = {name: value for name, value in self.network.state_dict().items() if not name.startswith(left_out)}
        return pack(kept, self.memory, self.slots)

    @final
    def part_state(self, part: str) -> dict[str, Array]:
        """Return what `state_dict` says of one part of `network`."""
        return pack_network(
            {f"{part}.{name}": value for name, value in self.network.get_submodule(part).state_dict().items()}
        )

    @final
    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Become what `state` says; a CheckpointError if it is not of this method with this config."""
        tensors, memory, slots = unpack(state)
        self.memory.refuse_other_packing(memory)
        self.memory, self.slots[:] = memory, slots
        self._load_network(tensors)

    @final
    def take_shapes(self, state: Mapping[str, Array]) -> None:
        """Load the shapes of a state into a method on the meta device; a CheckpointError as for the state."""
        shapes = {name: array.shape for name, array in below("network.", state).items()}
        self._load_network({name: torch.empty(shape, device="meta") for name, shape in shapes.items()})

    def _load_network(self, tensors: dict[str, Tensor]) -> None:
        refuse_other_shapes(self.network.state_dict(), tensors)
        with state_that_fits():
            self.network.load_state_dict(tensors)

    @final
    def load_predictor(self, state: Mapping[str, Tensor]) -> None:
        """Load a state of `predictor` alone, enough to score; a CheckpointError if it does not fit."""
        with state_that_fits():
            self.predictor.load_state_dict(state)
