"""What is set on held-out clips: probabilities of labels, and the out-of-distribution score.

Probabilities: a softmax of the scores divided by one temperature, which minimises the cross-entropy of the held-out
clips: they are as new to the predictor as a user's clip. Source: Guo et al., On Calibration of Modern Neural Networks,
ICML 2017.

Out-of-distribution score: how far a clip is from all classes, above 1 for "none of these". A clip's vector is compared
with the mean of every class, by the Mahalanobis distance under one covariance that the classes share (Lee et al., A
Simple Unified Framework for Detecting Out-of-Distribution Samples and Adversarial Attacks, NeurIPS 2018), shrunk as by
Ledoit and Wolf (2004), as there are fewer clips than numbers in a vector. Means and covariance come from all clips that
are kept: exemplars and those held out. The threshold is such that 95 of 100 held-out clips pass as known. A clip pulls
the mean of its own class towards itself, so each held-out clip is measured by means and a covariance of which it is no
part: the first held-out clip of every class is left out, then the second, and so on.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from essential.methods.discriminant import ledoit_wolf, shrunk

# Bounds of the temperature, in units of the spread of the scores: where every clip is right, none is too small.
_LOWEST, _HIGHEST = 1 / 50, 10.0
# How near its logarithm is searched for, and how an interval is cut: the golden section.
_CLOSE, _GOLDEN = 1e-5, (5**0.5 - 1) / 2

# The share of the held-out clips that may be called unknown.
REJECTED_SHARE = 0.05

Scores = Float[np.ndarray, "clips slots"]
Vectors = Float[np.ndarray, "clips width"]
Slots = Int[np.ndarray, " clips"]


def temperature_of(scores: Scores, slots: Int[np.ndarray, " clips"], labels: Sequence[str | None]) -> float:
    """Return the temperature for held-out clips, given the slot of each and the label of every slot; 1 without a clip.

    Scores may have any scale, and are minus infinity for a slot that is never predicted, which is no clip's.
    """
    if not len(slots):
        return 1.0
    of_label = torch.tensor([[label == labels[slot] for label in labels] for slot in slots.tolist()])
    predicted = scores[:, np.isfinite(scores).all(axis=0)].astype(np.float64)
    spread = max(float((predicted.max(axis=1) - predicted.mean(axis=1)).mean()), 1e-6)
    in_spreads = torch.from_numpy(scores.astype(np.float64)) / spread

    def cross_entropy(log_of_temperature: float) -> float:
        logs = torch.log_softmax(in_spreads / math.exp(log_of_temperature), dim=1)
        return -float(logs.masked_fill(~of_label, -math.inf).logsumexp(dim=1).mean())

    return spread * math.exp(_lowest(cross_entropy, math.log(_LOWEST), math.log(_HIGHEST)))


def _lowest(function: Callable[[float], float], low: float, high: float) -> float:
    """Return where a function with one valley is lowest, by golden-section search.

    Here as scipy.optimize takes longer to load than a short clip to decode and encode.
    """
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = function(left), function(right)
    while high - low > _CLOSE:
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = function(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = function(right)
    return (low + high) / 2


def known_labels(labels: Sequence[str | None]) -> tuple[str, ...]:
    """Return each label of the slots once, in order of arrival; forgotten ones are left out."""
    return tuple(dict.fromkeys(label for label in labels if label is not None))


def label_probabilities(
    scores: Scores, labels: Sequence[str | None], temperature: float
) -> tuple[tuple[str, ...], Float[np.ndarray, "clips labels"]]:
    """Return the labels in order of arrival, and the sum of the probabilities of each label's slots.

    The scores of a slot without a label are minus infinity.
    """
    divided = scores.astype(np.float64) / temperature
    powers = np.exp(divided - divided.max(axis=1, keepdims=True))
    probabilities = powers / powers.sum(axis=1, keepdims=True)
    known = known_labels(labels)
    columns = [[slot for slot, label in enumerate(labels) if label == name] for name in known]
    return known, np.stack([probabilities[:, slots].sum(axis=1) for slots in columns], axis=1)


@dataclass(frozen=True, eq=False)
class OutOfDistribution:
    """The whitened means of the classes, and the distance above which a clip is unknown.

    The product of `whitening` and its transpose is the inverse of the covariance.
    """

    means: Float[np.ndarray, "classes width"]
    whitening: Float[np.ndarray, "width width"]
    threshold: float = 1.0

    def scores(self, vectors: Vectors) -> Float[np.ndarray, " clips"]:
        """Return each clip's distance from the nearest class, in units of the threshold: above 1 it is unknown."""
        white = vectors.astype(np.float64) @ self.whitening
        squares = (white**2).sum(axis=1)[:, None] - 2 * white @ self.means.T + (self.means**2).sum(axis=1)
        distances: Float[np.ndarray, " clips"] = np.sqrt(np.maximum(squares.min(axis=1), 0.0)) / self.threshold
        return distances


def out_of_distribution_of(
    vectors: Float[np.ndarray, "exemplars width"],
    slots: Int[np.ndarray, " exemplars"],
    held_out: Float[np.ndarray, "held width"],
    held_out_slots: Int[np.ndarray, " held"],
) -> OutOfDistribution | None:
    """Return means and covariance of exemplars and held-out clips, and the threshold; None if they are too few."""
    whole = _fitted(np.concatenate([vectors, held_out]), np.concatenate([slots, held_out_slots]))
    if whole is None or not len(held_out):
        return None
    # How many of its class stand before each.
    folds = np.array([np.count_nonzero(held_out_slots[:place] == slot) for place, slot in enumerate(held_out_slots)])
    distances = np.full(len(held_out), np.nan)
    for fold in range(folds.max() + 1):
        kept, left = folds != fold, folds == fold
        part = _fitted(np.concatenate([vectors, held_out[kept]]), np.concatenate([slots, held_out_slots[kept]]))
        # A class whose only clip is left out has no mean to be near to.
        known = np.isin(held_out_slots[left], [*slots, *held_out_slots[kept]])
        if part is not None and known.any():
            distances[np.flatnonzero(left)[known]] = part.scores(held_out[left][known])
    measured = distances[np.isfinite(distances)]
    if not len(measured):
        return None
    return OutOfDistribution(whole.means, whole.whitening, max(float(np.quantile(measured, 1 - REJECTED_SHARE)), 1e-9))


def _fitted(vectors: Vectors, slots: Slots) -> OutOfDistribution | None:
    """Return means and covariance alone; None where no class has two clips that differ."""
    known, places, counts = np.unique(slots, return_inverse=True, return_counts=True)
    if not len(known):
        return None
    vectors = vectors.astype(np.float64)
    means = np.zeros((len(known), vectors.shape[1]))
    np.add.at(means, places, vectors)
    means /= counts[:, None]
    several = counts[places] > 1
    # A clip is nearer to a mean that it is part of.
    apart = (vectors - means[places])[several] * np.sqrt(counts / np.maximum(counts - 1, 1))[places][several, None]
    if not apart.any():
        return None
    clips = torch.from_numpy(apart)
    covariance = clips.T @ clips / len(clips)
    shrinkage = ledoit_wolf(covariance, float(clips.square().sum(dim=1).square().sum()), clips=len(clips))
    identity = torch.eye(len(covariance), dtype=covariance.dtype)
    covariance = shrunk(covariance, shrinkage)
    # Where all clips but a few numbers are equal the covariance may be singular in spite of the shrinkage.
    covariance += identity * 1e-9 * covariance.trace() / len(covariance)
    lower = torch.linalg.cholesky(covariance)
    whitening = torch.linalg.solve_triangular(lower, identity, upper=False).T.numpy()
    return OutOfDistribution(means @ whitening, whitening)
