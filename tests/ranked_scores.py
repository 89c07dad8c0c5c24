"""Predictions from whole matrices of scores, and whole matrices back, where all slots are ranked."""

from collections.abc import Sequence

import numpy as np
import torch

from essential.engine.evaluate import Predictions
from essential.engine.ranking import Ranking


def predictions_of(
    scores: np.ndarray, slots: np.ndarray, tasks: np.ndarray, videos: Sequence[str], **others: np.ndarray
) -> Predictions:
    """Return the predictions of a head, and of `others` beside it."""
    rankings = {
        name: Ranking.of(torch.from_numpy(each), torch.from_numpy(slots))
        for name, each in {"cnn": scores, **others}.items()
    }
    return Predictions(rankings, slots, tasks, tuple(videos))


def matrix_of(ranking: Ranking) -> np.ndarray:
    """Return a column of scores for each slot."""
    order = ranking.slots.argsort(axis=1)
    assert (np.take_along_axis(ranking.slots, order, axis=1) == np.arange(order.shape[1])).all(), "all slots are ranked"
    return np.take_along_axis(ranking.scores, order, axis=1)
