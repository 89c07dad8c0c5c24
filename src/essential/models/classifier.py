"""The clip classifier that every trained method shares, its heads, and what decides by something else than logits."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from essential.models.growing import Growing, GrowingList
from essential.models.temporal_encoder import TemporalEncoder
from essential.models.whole_batch import Dropout
from essential.products import linear


class Head(Growing, ABC):
    """Clip tokens (batch, dim), in; a logit per slot, out."""

    @property
    @abstractmethod
    def slots(self) -> int:
        """Slots so far."""

    @abstractmethod
    def grow(self, rows: int, *, generator: torch.Generator) -> None:
        """Add `rows` slots behind the present ones, which keep their values."""


class GrowingHead(Head):
    """A linear layer with one row per slot.

    New weights have standard deviation 0.02 * `init_scale`, new biases are 0, as in the ESSENTIAL authors' code. It
    allocates all classes at once; rows without a sample only decay there, so the scores of the slots seen are the same.
    """

    grows = ("weight", "bias")

    def __init__(self, dim: int, *, init_scale: float) -> None:
        super().__init__()
        self.init_scale = init_scale
        self.weight = nn.Parameter(torch.empty(0, dim))
        self.bias = nn.Parameter(torch.empty(0))

    @property
    def slots(self) -> int:
        return len(self.bias)

    def grow(self, rows: int, *, generator: torch.Generator) -> None:
        new = torch.randn(rows, self.weight.shape[1], generator=generator) * (0.02 * self.init_scale)
        old = self.weight.detach()
        self.weight = nn.Parameter(torch.cat([old, new.to(old)]))
        self.bias = nn.Parameter(torch.cat([self.bias.detach(), torch.zeros(rows).to(old)]))

    def forward(self, tokens: Float[Tensor, "batch *readings dim"]) -> Float[Tensor, "batch *readings slots"]:
        return linear(tokens, self.weight, self.bias)


class CosineHead(Head):
    """A slot's similarity to a clip token, times one learned scale.

    With one direction (proxy) per slot it is their cosine (UCIR, CVPR 2019, equation 4); with several, the mean of
    the cosines, weighted by their softmax (PODNet, ECCV 2020, equation 7).
    """

    grows = ("weight",)

    def __init__(self, dim: int, *, scale: float, proxies: int = 1) -> None:
        super().__init__()
        self.proxies = proxies
        self.weight = nn.Parameter(torch.empty(0, dim))
        self.scale = nn.Parameter(torch.tensor(scale))

    @property
    def slots(self) -> int:
        """Slots so far; each has `proxies` rows, one behind the other."""
        return len(self.weight) // self.proxies

    def grow(self, rows: int, *, generator: torch.Generator) -> None:
        """Add random directions of about unit length for `rows` slots behind the present ones, which keep theirs."""
        old = self.weight.detach()
        new = torch.randn(rows * self.proxies, old.shape[1], generator=generator) * old.shape[1] ** -0.5
        self.weight = nn.Parameter(torch.cat([old, new.to(old)]))

    @torch.no_grad()
    def imprint(self, directions: Float[Tensor, "rows dim"]) -> None:
        """Turn the last rows to `directions`, with the mean length of the others, so that they train as fast."""
        rows = len(directions)
        length = self.weight[:-rows].norm(dim=1).mean() if len(self.weight) > rows else 1.0
        self.weight[-rows:] = nn.functional.normalize(directions.to(self.weight), dim=1) * length

    def similarities(self, tokens: Float[Tensor, "batch dim"], *, fixed: int = 0) -> Float[Tensor, "batch slots"]:
        """Return the similarity with every slot; the directions of the first `fixed` slots get no gradient."""
        held = fixed * self.proxies
        weight = nn.functional.normalize(torch.cat([self.weight[:held].detach(), self.weight[held:]]), dim=1)
        cosines = linear(nn.functional.normalize(tokens, dim=1), weight)
        if self.proxies == 1:
            return cosines
        by_slot = cosines.unflatten(1, (self.slots, self.proxies))
        weighted: Tensor = (by_slot.softmax(dim=2) * by_slot).sum(dim=2)
        return weighted

    def forward(self, tokens: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch slots"]:
        return self.scale * self.similarities(tokens)


class Predictor(Growing, ABC):
    """What scores clips: dense frame features (batch, frames, dim), in; a score per slot seen so far, out.

    Attributes:
        reading: what the scores are. `cnn` and `nme` are TCD's words: of a trained head, or by the nearest mean of
            exemplars; `closed-form` scores are computed from statistics.
    """

    reading: Literal["cnn", "nme", "closed-form"]

    @abstractmethod
    def forward(self, features: Float[Tensor, "batch frames dim"]) -> Float[Tensor, "batch slots"]:
        """Score dense clips."""

    def readings(self, features: Float[Tensor, "batch frames dim"]) -> dict[str, Float[Tensor, "batch slots"]]:
        """Return all scores that the predictor can give, by reading; one of them is what it decides by."""
        return {self.reading: self(features)}

    def tokens(
        self,
        features: Float[Tensor, "batch kept dim"],
        positions: Int[Tensor, "batch kept"],  # noqa: ARG002
    ) -> Float[Tensor, "batch width"]:
        """Return a vector for each clip, of frames at these positions: their mean, where nothing is learned."""
        return features.mean(dim=1)

    def by_tokens(self, tokens: Float[Tensor, "batch width"]) -> Float[Tensor, "batch slots"] | None:  # noqa: ARG002
        """Return the scores of clips with these tokens; None if they do not follow from tokens."""
        return None


class TokenPredictor(Predictor):
    """A predictor that decides by a clip's token alone."""

    @abstractmethod
    def tokens(
        self, features: Float[Tensor, "batch kept dim"], positions: Int[Tensor, "batch kept"]
    ) -> Float[Tensor, "batch dim"]:
        """Return the clip token of frames at any positions."""

    @abstractmethod
    def by_tokens(self, tokens: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch slots"]: ...

    def forward(self, features: Float[Tensor, "batch frames dim"]) -> Float[Tensor, "batch slots"]:
        return self.by_tokens(self.dense_tokens(features))

    def dense_tokens(self, features: Float[Tensor, "batch frames dim"]) -> Float[Tensor, "batch dim"]:
        """Return the tokens of dense clips: frame i stands at position i."""
        positions = torch.arange(features.shape[1], device=features.device).expand(features.shape[:2])
        return self.tokens(features, positions)


class ClipClassifier(TokenPredictor):
    """Scores are logits; `exemplar_means` has a unit vector per slot once a method sets it, its exemplars' mean."""

    reading = "cnn"
    grows = ("exemplar_means",)
    exemplar_means: Tensor

    def __init__(
        self, dim: int, *, frames: int, layers: int, heads: int, dropout: float, drop_path: float, head: Head
    ) -> None:
        super().__init__()
        self.encoder = TemporalEncoder(dim, frames=frames, layers=layers, heads=heads, drop_path=drop_path)
        self.dropout = Dropout(dropout)
        self.head = head
        self.register_buffer("exemplar_means", torch.zeros(0, dim))

    def tokens(
        self, features: Float[Tensor, "batch kept dim"], positions: Int[Tensor, "batch kept"]
    ) -> Float[Tensor, "batch dim"]:
        encoded: Tensor = self.encoder(self.encoder.place(features, positions))
        return encoded

    def logits(self, tokens: Float[Tensor, "batch *readings dim"]) -> Float[Tensor, "batch *readings slots"]:
        """Return a logit per slot for clip tokens, one of each clip or one of each reading of it."""
        scored: Tensor = self.head(self.dropout(tokens))
        return scored

    def by_tokens(self, tokens: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch slots"]:
        return self.logits(tokens)

    def cosines(self, tokens: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch slots"]:
        """Return the cosine of clip tokens with each slot's mean of exemplars: NME in TCD, iCaRL's rule."""
        return nn.functional.normalize(tokens, dim=1) @ self.exemplar_means.T

    def readings(self, features: Float[Tensor, "batch frames dim"]) -> dict[str, Float[Tensor, "batch slots"]]:
        tokens = self.dense_tokens(features)
        by_means = {"nme": self.cosines(tokens)} if len(self.exemplar_means) else {}
        return {"cnn": self.logits(tokens), **by_means}

    def _load_from_state_dict(self, state_dict: Mapping[str, Tensor], prefix: str, *args: Any, **kwargs: Any) -> None:
        # States of an older version, or of other code, have no means.
        none = {f"{prefix}exemplar_means": self.exemplar_means[:0]}
        super()._load_from_state_dict({**none, **state_dict}, prefix, *args, **kwargs)


class AroundClassifier(TokenPredictor):
    """A predictor from the classifier's tokens."""

    def __init__(self, classifier: ClipClassifier) -> None:
        super().__init__()
        self.classifier = classifier

    def tokens(
        self, features: Float[Tensor, "batch kept dim"], positions: Int[Tensor, "batch kept"]
    ) -> Float[Tensor, "batch dim"]:
        return self.classifier.tokens(features, positions)

    def readings(self, features: Float[Tensor, "batch frames dim"]) -> dict[str, Float[Tensor, "batch slots"]]:
        return self.classifier.readings(features)


class NearestMeans(AroundClassifier):
    """Scores are cosines with every slot's mean of exemplars; those of the head are another reading.

    Source: iCaRL (CVPR 2017), algorithm 1; of unit vectors the largest cosine is the smallest distance.
    """

    reading = "nme"

    def by_tokens(self, tokens: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch slots"]:
        return self.classifier.cosines(tokens)


class BiasPair(nn.Module):
    """The pair of one task: alpha times a logit plus beta. A new pair changes nothing."""

    def __init__(self, _: int = 0) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(()))
        self.beta = nn.Parameter(torch.zeros(()))


class BiasCorrected(AroundClassifier):
    """Scores are the classifier's logits, each scaled and shifted by its task's pair (BiC, CVPR 2019, equation 4).

    Attributes:
        pairs: one for every task.
        task_of_slot: which of them is a slot's.
    """

    reading = "cnn"
    grows = ("task_of_slot",)
    task_of_slot: Tensor

    def __init__(self, classifier: ClipClassifier) -> None:
        super().__init__(classifier)
        self.pairs = GrowingList(BiasPair)
        self.register_buffer("task_of_slot", torch.zeros(0, dtype=torch.long))

    def correct(self, logits: Float[Tensor, "batch slots"]) -> Float[Tensor, "batch slots"]:
        """Correct the classifier's logits."""
        alphas = torch.stack([pair.get_parameter("alpha") for pair in self.pairs])
        betas = torch.stack([pair.get_parameter("beta") for pair in self.pairs])
        return logits * alphas[self.task_of_slot] + betas[self.task_of_slot]

    def readings(self, features: Float[Tensor, "batch frames dim"]) -> dict[str, Float[Tensor, "batch slots"]]:
        readings = super().readings(features)
        return {**readings, "cnn": self.correct(readings["cnn"])}

    def by_tokens(self, tokens: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch slots"]:
        return self.correct(self.classifier.logits(tokens))

    def add_pair(self, slots: int) -> None:
        """Add a pair for `slots` new slots, behind the present ones."""
        new = torch.full((slots,), len(self.pairs), device=self.task_of_slot.device)
        self.task_of_slot = torch.cat([self.task_of_slot, new])
        self.pairs.add()
        self.pairs.to(new.device)

    def reset_pairs(self) -> None:
        """Let every pair change nothing, as if new."""
        for pair in self.pairs:
            pair.load_state_dict(BiasPair().state_dict())


class Blended(Predictor):
    """Scores are those of another predictor and the classifier's logits, each times its own weight."""

    reading = "cnn"
    weights: Tensor

    def __init__(self, classifier: ClipClassifier, other: Predictor) -> None:
        super().__init__()
        self.classifier, self.other = classifier, other
        self.register_buffer("weights", torch.ones(2, dtype=torch.float64))

    def tokens(
        self, features: Float[Tensor, "batch kept dim"], positions: Int[Tensor, "batch kept"]
    ) -> Float[Tensor, "batch dim"]:
        return self.classifier.tokens(features, positions)

    def forward(self, features: Float[Tensor, "batch frames dim"]) -> Float[Tensor, "batch slots"]:
        of_other, of_classifier = self.weights
        blended: Tensor = of_other * self.other(features) + of_classifier * self.classifier(features)
        return blended

    def weigh(
        self, of_other: Float[Tensor, "clips slots"], logits: Float[Tensor, "clips slots"], slots: Int[Tensor, " clips"]
    ) -> None:
        """Take the weights, of those in `BLENDS`, with the least cross-entropy on clips that neither has learned."""
        pairs = torch.cartesian_prod(BLENDS, BLENDS)
        losses = [
            nn.functional.cross_entropy(other * of_other.double() + own * logits.double(), slots)
            for other, own in pairs.tolist()
        ]
        self.weights.copy_(pairs[int(torch.stack(losses).argmin())])


# Nothing, and powers of 2 from 1/256 to 8.
BLENDS = torch.cat([torch.zeros(1), 2.0 ** torch.arange(-8, 4)]).double()
