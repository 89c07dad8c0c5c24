"""The exemplars as they were, as they are kept, and as the method rebuilds them: their distances.

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
    """Return exemplars of a learned method in every way that there is.

    `dense` are the clips that they were taken from, of `frames` frames, if those are still there.
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
    tokens: dict[Kind, Tensor] = {}
    for kind, clips in found.items():
        batches = zip(*(part.split(_AT_ONCE) for part in clips), strict=True)
        tokens[kind] = torch.cat([method.predictor.tokens(*batch) for batch in batches])
    filled = {kind: fill(features, positions, frames=frames) for kind, (features, positions) in found.items()}
    return Readings(memory.slots, tokens, filled)


def fill(
    features: Float[Tensor, "clips kept dim"], positions: Int[Tensor, "clips kept"], *, frames: int
) -> Float[Tensor, "clips frames dim"]:
    """Return clips of `frames` frames, each the one kept whose position is the nearest; of two, the earlier one."""
    apart = (torch.arange(frames)[None, :, None] - positions[:, None, :]).abs()
    # Positions and distances are whole, so half of a position decides between two that are equally near.
    nearest = (apart + positions[:, None, :] / (2 * frames)).argmin(dim=2)
    return features.take_along_dim(nearest[..., None], dim=1)


def distances(readings: Readings) -> Distances | None:
    """Return how far each way of reading is from the dense clips; None if those, or sparse ones, are not there."""
    if not {"dense", "sparse"} <= readings.tokens.keys():
        return None
    columns: dict[str, Tensor] = {}
    for kind in readings.tokens:
        if kind != "dense":
            apart = 1 - nn.functional.cosine_similarity(readings.tokens[kind], readings.tokens["dense"])
            columns[kind] = apart.clamp(0, 2).double()
            error = (readings.frames[kind] - readings.frames["dense"]).square()
            columns[f"{kind}_frames"] = error.double().mean(dim=(1, 2))

    def means(rows: Tensor) -> MeanDistances:
        of_rows = {name: float(column[rows].mean()) for name, column in columns.items()}
        return MeanDistances.model_validate({"exemplars": int(rows.sum()), **of_rows})

    slots = readings.slots
    by_slot = tuple(SlotDistances(slot=slot, means=means(slots == slot)) for slot in slots.unique().tolist())
    return Distances(overall=means(torch.ones_like(slots, dtype=torch.bool)), by_slot=by_slot)
