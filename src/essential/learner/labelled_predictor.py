"""What a taught predictor says of frame features: scores, probabilities of labels, and whether it is none of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from essential.errors import BundleError
from essential.learner.calibration import label_probabilities, temperature_of
from essential.learner.held_out import HeldOut
from essential.learner.out_of_distribution import Familiarity, familiarity_of
from essential.learner.prediction import Prediction, Scored
from essential.memory.episodic import EpisodicMemory
from essential.models.classifier import Predictor

_AT_ONCE = 512

Features = Float[np.ndarray, "clips frames dim"]


@dataclass(frozen=True, eq=False)
class LabelledPredictor:
    """A predictor with the labels of its slots, and how its scores are read.

    Attributes:
        predictor: scores clips.
        labels: of every slot; None where the class was forgotten, which is never answered.
        temperature: see `calibration`.
        familiarity: see there; None where too few clips are kept to tell the unknown by.
    """

    predictor: Predictor
    labels: Sequence[str | None]
    temperature: float
    familiarity: Familiarity | None

    def scores(self, features: Features) -> Float[np.ndarray, "clips slots"]:
        """Return the score of every slot; minus infinity for what was forgotten."""
        return _scores(self.predictor, self.labels, features)

    def probabilities(self, features: Features) -> tuple[tuple[str, ...], Float[np.ndarray, "clips labels"]]:
        """Return the labels known, and their probabilities."""
        return label_probabilities(self.scores(features), self.labels, self.temperature)

    def unknown_scores(self, features: Features) -> Float[np.ndarray, " clips"] | None:
        """Return how far each clip is from all classes, above 1 for the unknown; None where nothing tells it."""
        if self.familiarity is None:
            return None
        return self.familiarity.scores(_vectors(self.predictor, *_dense(features)))

    def answers(
        self, features: Features
    ) -> tuple[tuple[str, ...], Float[np.ndarray, "clips labels"], Float[np.ndarray, " clips"] | None]:
        """Return what `probabilities` and `unknown_scores` do, each clip's vector computed once."""
        if self.familiarity is None:
            return *self.probabilities(features), None
        scores, vectors = _scores_and_vectors(self.predictor, self.labels, features)
        return *label_probabilities(scores, self.labels, self.temperature), self.familiarity.scores(vectors)

    def prediction(
        self,
        path: Path,
        features: Float[np.ndarray, "1 frames dim"],
        *,
        top_k: int,
        frames: UInt8[np.ndarray, "frames size size 3"] | None,
    ) -> Prediction:
        """Return what is said of one clip."""
        labels, probabilities, unknown = self.answers(features)
        best = np.argsort(-probabilities[0], kind="stable")[:top_k]
        top = tuple(Scored(labels[place], float(probabilities[0, place])) for place in best)
        return Prediction(path, top, None if unknown is None else float(unknown[0]), frames=frames)


def build_labelled_predictor(
    predictor: Predictor, labels: Sequence[str | None], memory: EpisodicMemory, held_out: HeldOut
) -> LabelledPredictor:
    """Return the voice of a predictor, its calibration set on the clips held out and its memory.

    Args:
        predictor: where it computes; set to evaluation.
        labels: of every slot.
        memory: the method's exemplars.
        held_out: clips that were not learned from.
    """
    predictor.eval()
    temperature = temperature_of(_scores(predictor, labels, held_out.features), held_out.slots.astype(np.int64), labels)
    slots = [memory.slots.numpy(), held_out.slots.astype(np.int64)]
    # A class of which nothing is kept would always look unknown.
    kept = {labels[slot] for slot in np.concatenate(slots).tolist()}
    familiarity = None
    if {label for label in labels if label is not None} <= kept:
        exemplars = _vectors(predictor, memory.features, memory.positions)
        familiarity = familiarity_of(exemplars, slots[0], _vectors(predictor, *_dense(held_out.features)), slots[1])
    return LabelledPredictor(predictor, labels, temperature, familiarity)


def share_right(voice: LabelledPredictor, held_out: HeldOut) -> float | None:
    """Return the share of the held-out clips whose label is found; None without a clip."""
    if not len(held_out.slots):
        return None
    known, probabilities = voice.probabilities(held_out.features)
    guesses = [known[guess] for guess in probabilities.argmax(axis=1).tolist()]
    truths = [voice.labels[slot] for slot in held_out.slots.tolist()]
    return float(np.mean([guess == truth for guess, truth in zip(guesses, truths, strict=True)]))


@torch.no_grad()
def _scores(predictor: Predictor, labels: Sequence[str | None], features: Features) -> Float[np.ndarray, "clips slots"]:
    scores = [predictor(clips).double().cpu() for (clips,) in _parts(predictor, torch.from_numpy(features).float())]
    return _without_forgotten(torch.cat(scores), labels)


@torch.no_grad()
def _scores_and_vectors(
    predictor: Predictor, labels: Sequence[str | None], features: Features
) -> tuple[Float[np.ndarray, "clips slots"], Float[np.ndarray, "clips width"]]:
    scores, vectors = [], []
    for clips, places in _parts(predictor, *_dense(features)):
        tokens = predictor.tokens(clips, places)
        by_tokens = predictor.by_tokens(tokens)
        scores.append((predictor(clips) if by_tokens is None else by_tokens).double().cpu())
        vectors.append(tokens.double().cpu())
    return _without_forgotten(torch.cat(scores), labels), torch.cat(vectors).numpy()


def _without_forgotten(scores: Tensor, labels: Sequence[str | None]) -> Float[np.ndarray, "clips slots"]:
    if not torch.isfinite(scores).all():
        raise BundleError("the classifier's scores are not finite, so its numbers are damaged; restore it from a copy")
    forgotten = np.array([label is None for label in labels], np.bool_)
    return np.where(forgotten, -np.inf, scores.numpy())


@torch.no_grad()
def _vectors(predictor: Predictor, features: Tensor, positions: Tensor) -> Float[np.ndarray, "clips width"]:
    vectors = [predictor.tokens(*part).double().cpu() for part in _parts(predictor, features, positions)]
    return torch.cat(vectors).numpy()


def _dense(features: Features) -> tuple[Tensor, Tensor]:
    """Return the features of all frames, and the frames' places."""
    clips = torch.from_numpy(features).float()
    return clips, torch.arange(clips.shape[1]).expand(clips.shape[:2])


def _parts(predictor: Predictor, *clips: Tensor) -> Iterator[list[Tensor]]:
    """Yield as much of each tensor as is computed at once, where the predictor is."""
    some: Tensor = next(iter(predictor.state_dict().values()))
    for part in zip(*(each.split(_AT_ONCE) for each in clips), strict=True):
        yield [each.to(some.device) for each in part]
