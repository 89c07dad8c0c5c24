"""A predictor with labels: probabilities of labels, and an out-of-distribution score, from frame features."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from essential.errors import BundleError
from essential.learner.calibration import (
    OutOfDistribution,
    known_labels,
    label_probabilities,
    out_of_distribution_of,
    temperature_of,
)
from essential.learner.prediction import Prediction, Scored
from essential.memory.episodic import EpisodicMemory
from essential.models.classifier import Predictor

_AT_ONCE = 512

Features = Float[np.ndarray, "clips frames dim"]


class Answers(NamedTuple):
    """The labels known, in order of arrival; of each clip, their probabilities and its `Prediction.unknown_score`."""

    labels: tuple[str, ...]
    probabilities: Float[np.ndarray, "clips labels"]
    unknown_scores: Float[np.ndarray, " clips"] | None


@dataclass(frozen=True, eq=False)
class LabelledPredictor:
    """A predictor, the labels of its slots, and its calibration; see `calibration`.

    A label is None where the class was forgotten, which is never predicted. `out_of_distribution` is None where too few
    clips are kept for it.
    """

    predictor: Predictor
    labels: Sequence[str | None]
    temperature: float
    out_of_distribution: OutOfDistribution | None

    def scores(self, features: Features) -> Float[np.ndarray, "clips slots"]:
        """Return the score of every slot; minus infinity for what was forgotten."""
        return self._answerable(_by_parts(self.predictor, self.predictor, torch.from_numpy(features).float()))

    def answers(self, features: Features) -> Answers:
        """Return labels, probabilities and out-of-distribution scores; each clip's vector is computed once."""
        if self.out_of_distribution is None:
            return Answers(*label_probabilities(self.scores(features), self.labels, self.temperature), None)
        both = _by_parts(self.predictor, self._scores_and_tokens, *_dense(features))
        scores, vectors = np.split(both, [len(self.labels)], axis=1)
        known, probabilities = label_probabilities(self._answerable(scores), self.labels, self.temperature)
        return Answers(known, probabilities, self.out_of_distribution.scores(vectors))

    def _scores_and_tokens(self, clips: Tensor, positions: Tensor) -> Tensor:
        tokens = self.predictor.tokens(clips, positions)
        by_tokens = self.predictor.by_tokens(tokens)
        scores = self.predictor(clips) if by_tokens is None else by_tokens
        return torch.cat([scores.double(), tokens.double()], dim=1)

    def _answerable(self, scores: Float[np.ndarray, "clips slots"]) -> Float[np.ndarray, "clips slots"]:
        if not np.isfinite(scores).all():
            raise BundleError(
                "the classifier's scores are not finite, so its numbers are damaged", remedy="restore it from a copy"
            )
        return np.where([label is None for label in self.labels], -np.inf, scores)

    def predictions(self, paths: Sequence[Path], features: Features, *, top_k: int) -> list[Prediction]:
        """Return a prediction for each clip."""
        labels, probabilities, unknown = self.answers(features)
        found = []
        for row, path in enumerate(paths):
            best = np.argsort(-probabilities[row], kind="stable")[:top_k]
            top = tuple(Scored(labels[place], float(probabilities[row, place])) for place in best)
            found.append(Prediction(path, top, None if unknown is None else float(unknown[row])))
        return found

    def recognised(self, held_out: EpisodicMemory) -> dict[str, tuple[int, int]]:
        """Return of each class with clips held out: how many are recognised, of how many."""
        found: dict[str, tuple[int, int]] = {}
        if not len(held_out.slots):
            return found
        known, probabilities, _ = self.answers(held_out.features.numpy())
        for slot, guess in zip(held_out.slots.tolist(), probabilities.argmax(axis=1).tolist(), strict=True):
            label = str(self.labels[slot])
            right, of = found.get(label, (0, 0))
            found[label] = (right + (known[guess] == label), of + 1)
        return found


def build_labelled_predictor(
    predictor: Predictor, labels: Sequence[str | None], memory: EpisodicMemory, held_out: EpisodicMemory
) -> LabelledPredictor:
    """Return a predictor, set to evaluation, with labels, calibrated on the clips held out and the exemplars."""
    predictor.eval()
    uncalibrated = LabelledPredictor(predictor, labels, 1.0, None)
    slots = [memory.slots.numpy(), held_out.slots.numpy()]
    temperature = temperature_of(uncalibrated.scores(held_out.features.numpy()), slots[1], labels)
    # A class of which nothing is kept would always look unknown.
    kept = {labels[slot] for slot in np.concatenate(slots).tolist()}
    measure = None
    if kept.issuperset(known_labels(labels)):
        vectors = [_by_parts(predictor, predictor.tokens, each.features, each.positions) for each in (memory, held_out)]
        measure = out_of_distribution_of(vectors[0], slots[0], vectors[1], slots[1])
    return LabelledPredictor(predictor, labels, temperature, measure)


def _dense(features: Features) -> tuple[Tensor, Tensor]:
    """Return the features of all frames, and the frames' places."""
    clips = torch.from_numpy(features).float()
    return clips, torch.arange(clips.shape[1]).expand(clips.shape[:2])


@torch.no_grad()
def _by_parts(
    predictor: Predictor, compute: Callable[..., Tensor], *clips: Tensor
) -> Float[np.ndarray, "clips numbers"]:
    """Return what `compute` gives for clips, some of them at once, where the predictor is; in float64."""
    device = next(chain(predictor.parameters(), predictor.buffers())).device
    parts = zip(*(each.split(_AT_ONCE) for each in clips), strict=True)
    return torch.cat([compute(*(each.to(device) for each in part)).double().cpu() for part in parts]).numpy()
