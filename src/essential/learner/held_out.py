"""Clips that were not learned from: a memory of whole clips, in 8 bits a number."""

from bisect import bisect_left
from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float, Int

from essential.files.sealed import Array
from essential.memory.budget import even_quotas
from essential.memory.episodic import EpisodicMemory
from essential.memory.packing import Bits

# An answer for a clip is the same for its features in 8 bits, to a thousandth of what clips of one class differ by.
_BITS: Bits = 8


def no_held_out_clips(frames: int, dim: int) -> EpisodicMemory:
    """Return no clips."""
    return EpisodicMemory.empty(kept=frames, dim=dim, bits=_BITS)


def held_out_clips(features: Float[np.ndarray, "clips frames dim"], slots: Int[np.ndarray, " clips"]) -> EpisodicMemory:
    """Return clips to add to those held out before."""
    clips, frames, _ = features.shape
    every, none = torch.arange(frames).expand(clips, -1), torch.zeros(clips, dtype=torch.long)
    return EpisodicMemory(
        torch.from_numpy(features).float(), every, torch.from_numpy(slots.astype(np.int64)), none, ("",) * clips
    )


def bytes_of(held_out: EpisodicMemory) -> int:
    """Return the bytes of the arrays that a bundle has of them."""
    return sum(array.nbytes for array in held_out.arrays().values()) if len(held_out) else 0


def within(held_out: EpisodicMemory, most_bytes: int) -> EpisodicMemory:
    """Return as many clips as fit; the last clip of the class with most clips goes first."""
    counts = torch.bincount(held_out.slots)

    def cut(total: int) -> EpisodicMemory:
        return held_out.at_most(even_quotas(counts, total))

    totals = range(1, len(held_out) + 1)
    return cut(bisect_left(totals, True, key=lambda total: bytes_of(cut(total)) > most_bytes))


def read_held_out(arrays: Mapping[str, Array], *, frames: int, dim: int) -> EpisodicMemory:
    """Return the clips of a bundle's arrays; in version 1 these are features in float16 and classes, and no more.

    Raises:
        ValueError, CheckpointError: they are not whole clips of that size.
    """
    none = no_held_out_clips(frames, dim)
    if "packing" in arrays:
        clips = EpisodicMemory.from_arrays(arrays)
    else:
        features, slots = arrays["features"], arrays["slots"]
        if features.dtype != np.float16 or slots.dtype != np.int32:
            raise ValueError(f"held-out clips of type {features.dtype} and {slots.dtype}")
        clips = none.extended(held_out_clips(features, slots)) if len(features) else none
    if clips.features.shape[1:] != (frames, dim) or not torch.equal(
        clips.positions, torch.arange(frames).expand(len(clips), -1)
    ):
        raise ValueError(f"held-out clips of shape {tuple(clips.features.shape)}, of other frames")
    return clips
