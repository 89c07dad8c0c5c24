"""A method's state as named arrays: its network, its memory, and the slots of the tasks it has learned."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from essential.errors import CheckpointError
from essential.files.sealed import Array
from essential.memory.episodic import EpisodicMemory
from essential.models.growing import below

_SLOTS = "task_slots"


def pack(network: Mapping[str, Tensor], memory: EpisodicMemory, slots: Sequence[range]) -> dict[str, Array]:
    """Return the arrays of a network's state, a memory and the slots, each under its own prefix."""
    state = pack_network(network)
    state |= {f"memory.{name}": array for name, array in memory.arrays().items()}
    state[_SLOTS] = np.array([[part.start, part.stop] for part in slots], dtype=np.int64).reshape(-1, 2)
    return state


def pack_network(network: Mapping[str, Tensor]) -> dict[str, Array]:
    """Return the arrays of a network's state, or of a part of it."""
    return {f"network.{name}": tensor.detach().cpu().numpy() for name, tensor in network.items()}


def unpack(state: Mapping[str, Array]) -> tuple[dict[str, Tensor], EpisodicMemory, list[range]]:
    """Return what `pack` was given.

    Raises:
        CheckpointError: the state does not hold the slots of the tasks learned, one task behind the other, or its
            memory is none.
    """
    if _SLOTS not in state:
        raise CheckpointError(f"the checkpoint holds no {_SLOTS!r}; it was written by another program or version")
    network = {name: torch.from_numpy(array.copy()) for name, array in below("network.", state).items()}
    slots = [range(start, stop) for start, stop in state[_SLOTS].tolist()]
    if any(part.start != before.stop or not part for before, part in pairwise([range(0), *slots])):
        raise CheckpointError(f"the checkpoint's tasks have the slots {slots}, which do not follow each other")
    return network, EpisodicMemory.from_arrays(below("memory.", state)), slots


def refuse_other_shapes(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    """Refuse, with a CheckpointError, tensors that differ from a network's own in more than their first length."""
    for name in own.keys() & given.keys():
        if own[name].ndim != given[name].ndim or own[name].shape[1:] != given[name].shape[1:]:
            raise CheckpointError(
                f"the checkpoint's {name!r} has the shape {tuple(given[name].shape)}, which does not fit this method's "
                "configuration; use the config and the version it was made with"
            )


@contextmanager
def state_that_fits() -> Iterator[None]:
    """Turn torch's complaint about keys or shapes into a `CheckpointError`."""
    try:
        yield
    except (RuntimeError, KeyError) as error:
        raise CheckpointError(
            f"the checkpoint does not fit this method's configuration ({error}); use the config and the version it was "
            "made with"
        ) from error
