"""From a predictor's scores to probabilities of labels.

A softmax of the scores divided by one temperature, which minimises the cross-entropy of clips that were held out of the
training: they are as new to the predictor as a user's clip. Source: Guo et al., On Calibration of Modern Neural
Networks, ICML 2017.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

# Bounds of the temperature, in units of the spread of the scores: where every clip is right, none is too small.
_LOWEST, _HIGHEST = 1 / 50, 10.0

Scores = Float[np.ndarray, "clips slots"]


def temperature_of(scores: Scores, slots: Int[np.ndarray, " clips"], labels: Sequence[str | None]) -> float:
    """Return the temperature for the scores of held-out clips, given their true slots; 1 without a clip.

    Args:
        scores: of any scale; minus infinity for a slot that is never answered.
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
    answered = scores[:, np.isfinite(scores).all(axis=0)]
    spread = max(float((answered.max(axis=1) - answered.mean(axis=1)).mean()), 1e-6)

    def cross_entropy(log_of_temperature: float) -> float:
        logs = log_softmax(scores / (spread * np.exp(log_of_temperature)), axis=1)
        return float(-logsumexp(np.where(of_label, logs, -np.inf), axis=1).mean())

    found = minimize_scalar(cross_entropy, bounds=(np.log(_LOWEST), np.log(_HIGHEST)), method="bounded")
    return spread * float(np.exp(found.x))


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
    known = tuple(dict.fromkeys(label for label in labels if label is not None))
    columns = [[slot for slot, label in enumerate(labels) if label == name] for name in known]
    return known, np.stack([probabilities[:, slots].sum(axis=1) for slots in columns], axis=1)
