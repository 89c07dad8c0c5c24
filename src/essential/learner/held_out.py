"""Clips that are kept and not learned from: probabilities and the threshold of the unknown are set on them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Frame features of clips that were not trained on, as float16, and their slots."""

    features: Float[np.ndarray, "clips frames dim"]
    slots: Int[np.ndarray, " clips"]

    @classmethod
    def none(cls, *, frames: int, dim: int) -> "HeldOut":
        """Return no clip at all."""
        return cls(np.zeros((0, frames, dim), np.float16), np.zeros(0, np.int32))

    def extended(self, other: "HeldOut") -> "HeldOut":
        """Return both, `other` behind."""
        return HeldOut(np.concatenate([self.features, other.features]), np.concatenate([self.slots, other.slots]))

    def without(self, slot: int) -> "HeldOut":
        """Return all but the clips of one slot."""
        kept = self.slots != slot
        return HeldOut(self.features[kept], self.slots[kept])

    def at_most(self, most_bytes: int) -> "HeldOut":
        """Return as many clips as fit, the last of the class that has most left out first."""
        kept = list(range(len(self.slots)))
        fits = most_bytes // max(1, self.bytes // max(1, len(kept)))
        while len(kept) > fits:
            counts = np.bincount(self.slots[kept])
            fullest = int(counts.argmax())
            kept.remove(max(place for place in kept if self.slots[place] == fullest))
        return HeldOut(self.features[kept], self.slots[kept])

    @property
    def bytes(self) -> int:
        """Bytes as stored, without the file's header."""
        return self.features.nbytes + self.slots.nbytes
