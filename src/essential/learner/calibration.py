"""Held-out clips, and the step from a predictor's scores to probabilities of labels, which is set on them.

A softmax of the scores divided by one temperature, which minimises the cross-entropy of clips that were held out of the
training: they are as new to the predictor as a user's clip. Source: Guo et al., On Calibration of Modern Neural
Networks, ICML 2017.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

# Bounds of the temperature, in units of the spread of the scores: where every clip is right, none is too small.
_LOWEST, _HIGHEST = 1 / 50, 10.0

Scores = Float[np.ndarray, "clips slots"]


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Frame features of clips that were not trained on, as float16, and their slots."""

    features: Float[np.ndarray, "clips frames dim"]
    slots: Int[np.ndarray, " clips"]

    @classmethod
    def none(cls, frames: int, dim: int) -> "HeldOut":
        """Return no clips."""
        return cls(np.zeros((0, frames, dim), np.float16), np.zeros(0, np.int32))

    def extended(self, other: "HeldOut") -> "HeldOut":
        """Concatenate: `self`, then `other`."""
        return HeldOut(np.concatenate([self.features, other.features]), np.concatenate([self.slots, other.slots]))

    def without(self, slot: int) -> "HeldOut":
        """Return all but the clips of one slot."""
        kept = self.slots != slot
        return HeldOut(self.features[kept], self.slots[kept])

    def at_most(self, most_bytes: int) -> "HeldOut":
        """Return as many clips as fit; the last clip of the class with most clips goes first."""
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


def temperature_of(scores: Scores, slots: Int[np.ndarray, " clips"], labels: Sequence[str | None]) -> float:
    """Return the temperature for the scores of held-out clips, given their true slots; 1 without a clip.

    Args:
        scores: of any scale; minus infinity for a slot that is never predicted.
        slots: none of these.
        labels: of every slot; the probability of a clip's label is that of all its slots.
    """
    # Half a second to load, and only needed here.
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax, logsumexp

    if not len(slots):
        return 1.0
    scores = scores.astype(np.float64)
    of_label = np.array([[label == labels[slot] for label in labels] for slot in slots.tolist()], np.bool_)
    predicted = scores[:, np.isfinite(scores).all(axis=0)]
    spread = max(float((predicted.max(axis=1) - predicted.mean(axis=1)).mean()), 1e-6)

    def cross_entropy(log_of_temperature: float) -> float:
        logs = log_softmax(scores / (spread * np.exp(log_of_temperature)), axis=1)
        return float(-logsumexp(np.where(of_label, logs, -np.inf), axis=1).mean())

    found = minimize_scalar(cross_entropy, bounds=(np.log(_LOWEST), np.log(_HIGHEST)), method="bounded")
    return spread * float(np.exp(found.x))


def known_labels(labels: Sequence[str | None]) -> tuple[str, ...]:
    """Return each label of the slots once, in order of arrival; forgotten ones are left out."""
    return tuple(dict.fromkeys(label for label in labels if label is not None))


def label_probabilities(
    scores: Scores, labels: Sequence[str | None], temperature: float
) -> tuple[tuple[str, ...], Float[np.ndarray, "clips labels"]]:
    """Return the labels in order of arrival, and their probabilities: those of a label's slots added up.

    Args:
        scores: of every slot; minus infinity for a slot without a label.
        labels: of every slot; a label may have several.
        temperature: divides the scores.
    """
    divided = scores.astype(np.float64) / temperature
    powers = np.exp(divided - divided.max(axis=1, keepdims=True))
    probabilities = powers / powers.sum(axis=1, keepdims=True)
    known = known_labels(labels)
    columns = [[slot for slot, label in enumerate(labels) if label == name] for name in known]
    return known, np.stack([probabilities[:, slots].sum(axis=1) for slots in columns], axis=1)
