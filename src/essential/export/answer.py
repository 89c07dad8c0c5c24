"""A labelled predictor as one module of tensors alone: what is exported.

It gives the learner's numbers: temperature, labels of several slots, forgotten slots, and the distance from all classes
are constants in it. `bundle_export` compares the two before a file is written.
"""

from copy import deepcopy

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from essential.encoders.base import Encoder, over_time
from essential.learner.calibration import known_labels
from essential.learner.labelled_predictor import LabelledPredictor
from essential.models.classifier import Predictor
from essential.models.closed_form import MahalanobisDistances, reduced, unpack_upper
from essential.models.text_scores import WithWords

Answers = tuple[Tensor, ...]


class FeatureAnswer(nn.Module):
    """Frame features, in; the probability of every label, and how far the clip is from all labels, out.

    Args:
        labelled: the learner's; without its out-of-distribution score the second output is left out.
    """

    slots: Tensor
    labels_of_slots: Tensor

    def __init__(self, labelled: LabelledPredictor) -> None:
        super().__init__()
        self.scores = predictor = _exportable(labelled.predictor)
        # Not a module of its own: what it has is in the one before already.
        self._tokens = predictor.tokens
        self.temperature = labelled.temperature
        known = known_labels(labelled.labels)
        answered = [(slot, known.index(label)) for slot, label in enumerate(labelled.labels) if label is not None]
        slots, places = torch.tensor(answered).unbind(dim=1)
        self.register_buffer("slots", slots.contiguous())
        self.register_buffer("labels_of_slots", nn.functional.one_hot(places, len(known)).double())
        self.distance = labelled.out_of_distribution

    def forward(self, features: Float[Tensor, "clips frames dim"]) -> Answers:
        """Answer dense clips."""
        scores = self.scores(features).double().index_select(1, self.slots)
        probabilities = ((scores / self.temperature).softmax(dim=1) @ self.labels_of_slots).float()
        if self.distance is None:
            return (probabilities,)
        positions = torch.arange(features.shape[1]).expand(features.shape[:2])
        return probabilities, self.distance(self._tokens(features, positions)).float()


class FrameAnswer(nn.Module):
    """Pixels as bytes, in; the answer of `FeatureAnswer` to their features, out."""

    mean: Tensor
    std: Tensor

    def __init__(self, encoder: Encoder, answer: FeatureAnswer, *, frames: int) -> None:
        super().__init__()
        self.frames = frames
        self.encoder = deepcopy(encoder).cpu()
        self.answer = answer
        self.register_buffer("mean", torch.tensor(encoder.pixel_format.mean)[:, None, None])
        self.register_buffer("std", torch.tensor(encoder.pixel_format.std)[:, None, None])

    def forward(self, frames: UInt8[Tensor, "clips read size size 3"]) -> Answers:
        """Answer clips of frames that have the encoder's size."""
        planes = frames.permute(0, 1, 4, 2, 3).contiguous()
        features = self.encoder.encode((planes.float() / 255 - self.mean) / self.std)
        answers: Answers = self.answer(over_time(features, self.frames))
        return answers


class _WhitenedDistances(Predictor):
    """What `MahalanobisDistances` gives but for the last digits of float64, all classes in one product.

    Matrices filled by a mask, as there, are in no exported program.
    """

    reading = "closed-form"
    means: Tensor
    whitenings: Tensor
    directions: Tensor | None

    def __init__(self, distances: MahalanobisDistances) -> None:
        super().__init__()
        distances = deepcopy(distances).cpu()
        self.vectors = distances.vectors
        means, packed, directions = distances.parts()
        self.register_buffer("directions", directions)
        self.register_buffer("means", means.transpose(0, 1)[:, :, None].double())
        self.register_buffer("whitenings", unpack_upper(packed).transpose(0, 1))

    def forward(self, features: Float[Tensor, "clips frames dim"]) -> Float[Tensor, "clips slots"]:
        """Score dense clips."""
        blocks, _, _, rank = self.means.shape
        vectors = reduced(self.vectors(features), (blocks, rank), self.directions)
        apart = vectors.transpose(0, 1)[:, None] - self.means
        squares: Tensor = (apart @ self.whitenings.double()).square().sum(dim=(0, 3))
        return -squares.T


def _exportable(predictor: Predictor) -> Predictor:
    """Return a copy that can be a program."""
    if isinstance(predictor, MahalanobisDistances):
        return _WhitenedDistances(predictor)
    copy = _copied(predictor)
    if isinstance(predictor, WithWords) and isinstance(copy, WithWords):
        copy.base = _exportable(predictor.base)
    return copy


def _copied(predictor: Predictor) -> Predictor:
    copy = deepcopy(predictor).cpu().eval().requires_grad_(False)
    for module in copy.modules():
        for name in [name for name, buffer in module.named_buffers(recurse=False) if not buffer.numel()]:
            # Means of exemplars that a method does not set: a program would warn of them whenever it is loaded.
            delattr(module, name)
    return copy
