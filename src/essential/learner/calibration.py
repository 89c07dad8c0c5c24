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
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from essential.methods.discriminant import ledoit_wolf
from essential.models.closed_form import squared_distances

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


class OutOfDistribution(nn.Module):
    """How far a clip is from the nearest class, in units of the distance above which it is unknown; in float64.

    The kept clips lie in the span of `basis`, whose columns are orthonormal. There, the product of `whitening` and its
    transpose is the inverse of the covariance, and `means` are the classes', times `whitening`. Outside, the covariance
    has the variance `outside`, the shrinkage's, in every direction, and the means are zero.
    """

    means: Tensor
    whitening: Tensor
    basis: Tensor

    def __init__(self, within: "_Within", basis: Float[Tensor, "width rank"], threshold: float) -> None:
        super().__init__()
        self.outside, self.threshold = within.outside, threshold
        # An exported program keeps only what lies in memory row by row.
        self.register_buffer("means", within.means.contiguous())
        self.register_buffer("whitening", within.whitening.contiguous())
        self.register_buffer("basis", basis.contiguous())

    def forward(self, vectors: Float[Tensor, "clips width"]) -> Float[Tensor, " clips"]:
        """Return each clip's distance, in units of the threshold: above 1 it is unknown."""
        clips = vectors.double()
        along = clips @ self.basis
        # Not by Pythagoras: where little is shrunk, its rounding would be enlarged.
        outside = (clips - along @ self.basis.T).square().sum(dim=1) / self.outside
        squares = squared_distances(along @ self.whitening, self.means).amin(dim=1) + outside
        return squares.sqrt() / self.threshold

    def scores(self, vectors: Vectors) -> Float[np.ndarray, " clips"]:
        """Return the distances of vectors in an array."""
        distances: Float[np.ndarray, " clips"] = self(torch.from_numpy(vectors)).numpy()
        return distances


def out_of_distribution_of(
    vectors: Float[np.ndarray, "exemplars width"],
    slots: Int[np.ndarray, " exemplars"],
    held_out: Float[np.ndarray, "held width"],
    held_out_slots: Int[np.ndarray, " held"],
) -> OutOfDistribution | None:
    """Return means and covariance of exemplars and held-out clips, and the threshold; None if they are too few.

    Covariances are of coordinates in the clips' span: a vector often has far more numbers than there are clips.
    """
    clips = torch.from_numpy(np.concatenate([vectors, held_out])).double()
    width = clips.shape[1]
    basis = torch.linalg.qr(clips.T).Q if len(clips) < width else torch.eye(width, dtype=clips.dtype)
    along, slots = clips @ basis, np.concatenate([slots, held_out_slots])
    whole = _fitted(clips, slots, basis)
    if whole is None or not len(held_out):
        return None
    # How many of its class stand before each; -1 for exemplars, which are in every fold.
    before = [np.count_nonzero(held_out_slots[:place] == slot) for place, slot in enumerate(held_out_slots)]
    folds = np.array([-1] * len(vectors) + before)
    distances = []
    for fold in range(folds.max() + 1):
        kept = folds != fold
        # A class whose only clip is left out has no mean to be near to.
        known = ~kept & np.isin(slots, slots[kept])
        part = _fitted(clips[kept], slots[kept], basis)
        if part is not None and known.any():
            distances.append(squared_distances(along[known] @ part.whitening, part.means).amin(dim=1).sqrt())
    if not distances:
        return None
    threshold = float(torch.cat(distances).quantile(1 - REJECTED_SHARE))
    return OutOfDistribution(whole, basis, max(threshold, 1e-9))


class _Within(NamedTuple):
    """The numbers of an `OutOfDistribution` in coordinates of a basis."""

    means: Float[Tensor, "classes rank"]
    whitening: Float[Tensor, "rank rank"]
    outside: float


def _fitted(clips: Float[Tensor, "clips width"], slots: Slots, basis: Float[Tensor, "width rank"]) -> _Within | None:
    """Return means and covariance; None where no class has two clips that differ."""
    known, places, counts = (torch.from_numpy(of) for of in np.unique(slots, return_inverse=True, return_counts=True))
    if not len(known):
        return None
    means = nn.functional.one_hot(places).T.double() @ clips / counts[:, None]
    several = counts[places] > 1
    # A clip is nearer to a mean that it is part of.
    enlarged = (counts / (counts - 1).clamp(min=1)).sqrt()[places]
    apart = ((clips - means[places]) * enlarged[:, None])[several]
    # Not of coordinates, whose rounding tells equal clips apart.
    if not apart.any():
        return None
    width, apart = clips.shape[1], apart @ basis
    covariance = apart.T @ apart / len(apart)
    fourth = float(apart.square().sum(dim=1).square().sum())
    shrinkage = ledoit_wolf(covariance, fourth, clips=len(apart), width=width)
    # Where all clips but a few numbers are equal the covariance may be singular in spite of the shrinkage.
    outside = (shrinkage + 1e-9) * float(covariance.trace()) / width
    identity = torch.eye(len(covariance), dtype=covariance.dtype)
    lower = torch.linalg.cholesky((1 - shrinkage) * covariance + outside * identity)
    whitening = torch.linalg.solve_triangular(lower, identity, upper=False).T
    return _Within(means @ basis @ whitening, whitening, outside)
