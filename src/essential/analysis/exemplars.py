"""The exemplars as they were, as they are kept, and as the method rebuilds them: their clip tokens and their distances.

The paper's analysis: how far the few frames that a memory keeps of a clip are from the clip, and how much nearer
memory retrieval brings them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from essential.memory.episodic import EpisodicMemory
from essential.methods.contract import Method
from essential.models.classifier import Predictor
from essential.records.analysis import Distances, Kind, MeanDistances, SlotDistances

_AT_ONCE = 256


@dataclass(frozen=True)
class Readings:
    """Every exemplar in each way that it can be read, by kind. `sparse` frames stand for those nearest to them too."""

    slots: Int[Tensor, " exemplars"]
    tokens: Mapping[Kind, Float[Tensor, "exemplars dim"]]
    frames: Mapping[Kind, Float[Tensor, "exemplars frames dim"]]


@torch.no_grad()
def read_exemplars(
    method: Method, memory: EpisodicMemory, dense: Float[Tensor, "exemplars frames dim"] | None, *, frames: int
) -> Readings:
    """Return the exemplars in every way that there is.

    Args:
        method: as it is after the last task, on the CPU.
        memory: exemplars of it.
        dense: the clips that they were taken from, if they are still there.
        frames: of a dense clip.
    """
    found: dict[Kind, tuple[Tensor, Tensor]] = {}
    every = torch.arange(frames).expand(len(memory), -1)
    if memory.positions.shape[1] == frames:
        # They are kept whole: nothing is sparse.
        found["dense"] = memory.features, memory.positions
    else:
        if dense is not None:
            found["dense"] = dense, every
        found["sparse"] = memory.features, memory.positions
    rebuilt = method.rebuilt(memory)
    if rebuilt is not None:
        found["retrieved"] = rebuilt, every
    tokens = {kind: _tokens(method.predictor, *clips) for kind, clips in found.items()}
    filled = {kind: fill(features, positions, frames=frames) for kind, (features, positions) in found.items()}
    return Readings(memory.slots, tokens, filled)


def _tokens(predictor: Predictor, features: Tensor, positions: Tensor) -> Tensor:
    parts = zip(features.split(_AT_ONCE), positions.split(_AT_ONCE), strict=True)
    return torch.cat([predictor.tokens(*part) for part in parts])


def fill(
    features: Float[Tensor, "clips kept dim"], positions: Int[Tensor, "clips kept"], *, frames: int
) -> Float[Tensor, "clips frames dim"]:
    """Return clips of `frames` frames, each the one kept whose position is the nearest; of two, the earlier one."""
    apart = (torch.arange(frames)[None, :, None] - positions[:, None, :]).abs()
    # Positions and distances are whole, so half of a position tells two that are equally near apart.
    nearest = (apart + positions[:, None, :] / (2 * frames)).argmin(dim=2)
    return features.take_along_dim(nearest[..., None], dim=1)


def distances(readings: Readings) -> Distances | None:
    """Return how far each way of reading is from the dense clips; None where those, or sparse ones, are not there."""
    if not {"dense", "sparse"} <= readings.tokens.keys():
        return None
    columns: dict[str, Tensor] = {}
    for kind in readings.tokens:
        if kind != "dense":
            apart = 1 - nn.functional.cosine_similarity(readings.tokens[kind], readings.tokens["dense"])
            columns[kind] = apart.clamp(0, 2).double()
            error = (readings.frames[kind] - readings.frames["dense"]).square()
            columns[f"{kind}_frames"] = error.double().mean(dim=(1, 2))
    present = readings.slots.unique().tolist()
    return Distances(
        overall=_means(columns),
        by_slot=tuple(
            SlotDistances(
                slot=slot, means=_means({name: column[readings.slots == slot] for name, column in columns.items()})
            )
            for slot in present
        ),
    )


def _means(columns: Mapping[str, Tensor]) -> MeanDistances:
    means = {name: float(column.mean()) for name, column in columns.items()}
    return MeanDistances.model_validate({"exemplars": len(columns["sparse"]), **means})
