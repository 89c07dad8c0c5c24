"""What is kept of scores of many slots: the best of them in order, and the score of the true one."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from essential.files.sealed import Array
from essential.models.growing import below

MOST_RANKED = 50


@dataclass(frozen=True)
class Ranking:
    """The best `MOST_RANKED` slots of each clip by its scores; all slots where there are no more.

    Attributes:
        slots: the best first; of equal scores the lowest slot first, and what is no number before all. In 16 bits
            without a sign where the number of slots allows it, else in 32.
        scores: of these slots, float32.
        true_scores: of each clip's true slot, whatever its rank.
    """

    slots: Int[np.ndarray, "clips best"]
    scores: Float[np.ndarray, "clips best"]
    true_scores: Float[np.ndarray, " clips"]

    @classmethod
    def of(cls, scores: Float[Tensor, "clips slots"], true: Int[Tensor, " clips"]) -> "Ranking":
        """Rank scores, on the device where they are.

        Raises:
            ValueError: a true slot has no score.
        """
        count = scores.shape[1]
        if len(true) and int(true.max()) >= count:
            raise ValueError(f"there are scores of {count} slots, and a clip of slot {int(true.max())}")
        scores = scores.float()
        best = _best(scores, min(count, MOST_RANKED))
        own = scores.gather(1, true[:, None].to(scores.device, torch.int64))[:, 0]
        dtype = np.uint16 if count <= 1 << 16 else np.int32
        return cls(best.cpu().numpy().astype(dtype), scores.gather(1, best).cpu().numpy(), own.cpu().numpy())


def _best(scores: Float[Tensor, "clips slots"], count: int) -> Int[Tensor, "clips count"]:
    """Return the first columns of a stable sort by falling score, without sorting all."""
    top = scores.topk(count, dim=1)
    slots = top.indices.sort(dim=1).values
    slots = slots.gather(1, scores.gather(1, slots).sort(dim=1, descending=True, stable=True).indices)
    # Of scores equal to the last, topk takes any. What is no number is not below anything either.
    unsure = ((~(scores < top.values[:, -1:])).sum(dim=1) != count).nonzero()[:, 0]
    if len(unsure):
        slots[unsure] = scores[unsure].sort(dim=1, descending=True, stable=True).indices[:, :count]
    return slots


def named_arrays(rankings: Mapping[str, Ranking]) -> dict[str, Array]:
    """Return the arrays of rankings by reading, as files and messages have them: `READING.slots` and so on."""
    return {f"{name}.{part}": array for name, ranking in rankings.items() for part, array in vars(ranking).items()}


def rankings_in(arrays: Mapping[str, Array]) -> dict[str, Ranking]:
    """Return the rankings of `named_arrays`, among other arrays; a TypeError if one is incomplete."""
    readings = dict.fromkeys(name.rpartition(".")[0] for name in sorted(arrays) if "." in name)
    return {reading: Ranking(**below(f"{reading}.", arrays)) for reading in readings}
