"""Heads: clip tokens to a logit per slot. Rows are added as classes arrive."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from essential.models.growing import Growing


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

    New weights have standard deviation 0.02 * `init_scale`, new biases are 0, as ESSENTIAL's authors initialise theirs.
    They allocate all classes of the benchmark at once; rows that no sample has reached yet would only decay there, so
    growing gives the same scores for the slots seen.
    """

    grows = ("weight", "bias")

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

    def forward(self, tokens: Float[Tensor, "batch *readings dim"]) -> Float[Tensor, "batch *readings slots"]:
        """Return a logit per slot."""
        return nn.functional.linear(tokens, self.weight, self.bias)


class CosineHead(Head):
    """How near a clip token is by angle to the directions (proxies) of a slot, times one learned scale.

    With one direction per slot it is their cosine: Hou et al., Learning a Unified Classifier Incrementally via
    Rebalancing, CVPR 2019, equation 4. With several, a slot's similarity is the mean of its cosines, weighted by a
    softmax over themselves, so that those near the token count most: Douillard et al., PODNet, ECCV 2020, equation 7.
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
        cosines = nn.functional.linear(nn.functional.normalize(tokens, dim=1), weight)
        if self.proxies == 1:
            return cosines
        by_slot = cosines.unflatten(1, (self.slots, self.proxies))
        weighted: Tensor = (by_slot.softmax(dim=2) * by_slot).sum(dim=2)
        return weighted

    def forward(self, tokens: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch slots"]:
        """Return a logit per slot."""
        return self.scale * self.similarities(tokens)
