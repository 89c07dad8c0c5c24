"""The clip classifier that every trained method shares: temporal encoder, dropout, one linear head that grows."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from essential.models.temporal_encoder import TemporalEncoder


class GrowingHead(nn.Module):
    """A linear layer with one row per slot, to which rows are added as classes arrive.

    New weights are drawn with standard deviation 0.02 * `init_scale` and new biases are zero, as the authors
    initialise theirs. They allocate all classes of the benchmark at once; rows that no sample has reached yet
    would only decay there, so growing gives the same scores for the slots seen.
    """

    def __init__(self, dim: int, *, init_scale: float) -> None:
        super().__init__()
        self.init_scale = init_scale
        self.weight = nn.Parameter(torch.empty(0, dim))
        self.bias = nn.Parameter(torch.empty(0))

    @property
    def slots(self) -> int:
        """Rows so far."""
        return len(self.bias)

    def grow(self, rows: int, *, generator: torch.Generator) -> None:
        """Add `rows` rows behind the present ones, which keep their values."""
        new = torch.randn(rows, self.weight.shape[1], generator=generator) * (0.02 * self.init_scale)
        old = self.weight.detach()
        self.weight = nn.Parameter(torch.cat([old, new.to(old)]))
        self.bias = nn.Parameter(torch.cat([self.bias.detach(), torch.zeros(rows).to(old)]))

    def forward(self, tokens: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch slots"]:
        """Return a logit per slot."""
        return nn.functional.linear(tokens, self.weight, self.bias)


class Predictor(nn.Module, ABC):
    """What scores clips: dense frame features (batch, frames, dim), in; a score per slot seen so far, out."""

    @abstractmethod
    def resize(self, state: Mapping[str, Tensor]) -> None:
        """Take on the shapes that `state`, the state of such a predictor, has; the values come later."""


class ClipClassifier(Predictor):
    """Dense frame features, in; a logit per slot seen so far, out."""

    def __init__(
        self,
        dim: int,
        *,
        frames: int,
        layers: int,
        heads: int,
        dropout: float,
        drop_path: float,
        init_scale: float,
    ) -> None:
        super().__init__()
        self.encoder = TemporalEncoder(dim, frames=frames, layers=layers, heads=heads, drop_path=drop_path)
        self.dropout = nn.Dropout(dropout)
        self.head = GrowingHead(dim, init_scale=init_scale)

    def forward(self, features: Float[Tensor, "batch frames dim"]) -> Float[Tensor, "batch slots"]:
        """Classify dense clips: frame i stands at position i."""
        positions = torch.arange(features.shape[1], device=features.device).expand(features.shape[:2])
        return self.logits(self.tokens(features, positions))

    def tokens(
        self, features: Float[Tensor, "batch kept dim"], positions: Int[Tensor, "batch kept"]
    ) -> Float[Tensor, "batch dim"]:
        """Return the clip token of frames at any positions."""
        encoded: Tensor = self.encoder(self.encoder.place(features, positions))
        return encoded

    def logits(self, tokens: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch slots"]:
        """Return a logit per slot for clip tokens."""
        scored: Tensor = self.head(self.dropout(tokens))
        return scored

    def resize(self, state: Mapping[str, Tensor]) -> None:
        """Give the head as many rows as `state` holds."""
        self.head.weight = nn.Parameter(torch.zeros_like(state["head.weight"]))
        self.head.bias = nn.Parameter(torch.zeros_like(state["head.bias"]))
