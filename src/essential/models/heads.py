"""Heads: clip tokens to a logit per slot. Rows are added as classes arrive."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Head(nn.Module, ABC):
    """Clip tokens (batch, dim), in; a logit per slot, out."""

    @property
    @abstractmethod
    def slots(self) -> int:
        """Slots so far."""

    @abstractmethod
    def grow(self, rows: int, *, generator: torch.Generator) -> None:
        """Add `rows` slots behind the present ones, which keep their values."""

    @abstractmethod
    def resize(self, state: Mapping[str, Tensor]) -> None:
        """Take on the shapes that `state`, the state of such a head, has; the values come later."""


class GrowingHead(Head):
    """A linear layer with one row per slot.

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

    def resize(self, state: Mapping[str, Tensor]) -> None:
        """Have as many rows as `state` holds."""
        self.weight = nn.Parameter(torch.zeros_like(state["weight"]))
        self.bias = nn.Parameter(torch.zeros_like(state["bias"]))

    def forward(self, tokens: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch slots"]:
        """Return a logit per slot."""
        return nn.functional.linear(tokens, self.weight, self.bias)
