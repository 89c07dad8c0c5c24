"""Scoring: one pass of the predictor over stored features. Nothing here draws a random number or opens a video."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from essential.engine.clips import ClipTable
from essential.metrics import Evaluation
from essential.models.classifier import Predictor


@dataclass(frozen=True)
class Predictions:
    """What a predictor says of test videos: a score per slot seen, beside the true slots and tasks."""

    scores: Float[np.ndarray, "videos slots"]
    slots: Int[np.ndarray, " videos"]
    tasks: Int[np.ndarray, " videos"]
    videos: tuple[str, ...]

    def evaluation(self) -> Evaluation:
        """Reduce the scores to the predicted slot; the first of equal scores wins."""
        return Evaluation(self.scores.argmax(axis=1), self.slots, self.tasks)


@torch.no_grad()
def predict(
    predictor: Predictor, tables: Sequence[ClipTable], *, device: torch.device, batch_size: int = 512
) -> Predictions:
    """Score every clip of `tables`, without augmentation or mask: the slots seen so far are all there are."""
    predictor.to(device).eval()
    scores = [predictor(features.to(device)).float().cpu().numpy() for features in _batches(tables, batch_size)]
    return Predictions(
        np.concatenate(scores),
        torch.cat([table.slots for table in tables]).numpy(),
        torch.cat([table.tasks for table in tables]).numpy(),
        tuple(video.key for table in tables for video in table.frames.videos),
    )


def _batches(tables: Sequence[ClipTable], batch_size: int) -> Iterator[torch.Tensor]:
    for table in tables:
        for indices in torch.arange(len(table)).split(batch_size):
            yield table.frames.rows(indices)
