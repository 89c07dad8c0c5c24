"""The out-of-distribution score: how far a clip is from all classes, above 1 for "none of these".

A clip's vector is compared with the mean of every class, by the Mahalanobis distance under one covariance that the
classes share (Lee et al., A Simple Unified Framework for Detecting Out-of-Distribution Samples and Adversarial
Attacks, NeurIPS 2018). It is shrunk as by Ledoit and Wolf (2004), as there are fewer clips than numbers in a vector.
Means and covariance come from all clips that are kept: exemplars and those held out.

The threshold is such that 95 of 100 held-out clips pass as known. A clip pulls the mean of its own class towards
itself, so each held-out clip is measured by means and a covariance of which it is no part: the first held-out clip of
every class is left out, then the second, and so on.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

# Of the clips held out, this share may be called unknown.
REJECTED_SHARE = 0.05

Vectors = Float[np.ndarray, "clips width"]
Slots = Int[np.ndarray, " clips"]


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
    # A second to load, and only needed here.
    from scipy.linalg import solve_triangular
    from sklearn.covariance import ledoit_wolf

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
    covariance, _ = ledoit_wolf(apart, assume_centered=True)
    width = covariance.shape[0]
    # Where all clips but a few numbers are equal the covariance may be singular in spite of the shrinkage.
    covariance += np.eye(width) * 1e-9 * np.trace(covariance) / width
    whitening = solve_triangular(np.linalg.cholesky(covariance), np.eye(width), lower=True).T
    return OutOfDistribution(means @ whitening, whitening)
