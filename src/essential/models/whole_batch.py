"""A batch that several ranks share: each computes a part of its rows, with the random numbers of the whole.

Numbers are drawn for all clips of a batch, and those of the rows at hand are kept, so a clip gets the same numbers on
any rank. `DropPath` and `Dropout` draw as torch's and torchvision's do, from torch's global generator.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn


@dataclass(frozen=True)
class Part:
    """The rows of a batch that one of several ranks computes; a batch of fewer rows than ranks is not split."""

    rank: int
    ranks: int
    whole: int

    @property
    def rows(self) -> slice:
        """The rows of the whole batch that are at hand; one at least."""
        if self.whole < self.ranks:
            return slice(0, self.whole)
        return slice(self.whole * self.rank // self.ranks, self.whole * (self.rank + 1) // self.ranks)

    @property
    def at_hand(self) -> int:
        """How many rows those are."""
        return len(range(self.whole)[self.rows])

    @property
    def fraction(self) -> float:
        """The rows at hand by all that are computed; the fractions of all ranks sum to 1."""
        return self.at_hand / (self.whole * (self.ranks if self.whole < self.ranks else 1))


_present: ContextVar[Part | None] = ContextVar("part of the batch", default=None)


@contextmanager
def part_of_batch(part: Part) -> Iterator[None]:
    """Draw, in the block, for the whole batch of which `part` is at hand."""
    before = _present.set(part)
    try:
        yield
    finally:
        _present.reset(before)


@contextmanager
def batch_beside(whole: int) -> Iterator[slice]:
    """Give the rows to compute here of another batch, of `whole` rows, which is at hand meanwhile."""
    present = _present.get()
    part = Part(0, 1, whole) if present is None else Part(present.rank, present.ranks, whole)
    with part_of_batch(part):
        yield part.rows


def whole_rows(rows: int) -> int:
    """Return how many rows the whole batch has of which `rows` are at hand."""
    part = _present.get()
    if part is None:
        return rows
    if rows != part.at_hand:
        raise RuntimeError(
            f"{rows} rows, where {part.rows} of a batch of {part.whole} are at hand: what is drawn in a part of them "
            "would differ with the number of ranks; draw for the batch, or use `batch_beside`"
        )
    return part.whole


def drawn(draw: Callable[[int], Tensor], rows: int) -> Tensor:
    """Return what `draw` gives for the `rows` at hand: it is asked for as many as the whole batch has."""
    part = _present.get()
    of_all = draw(whole_rows(rows))
    return of_all if part is None else of_all[part.rows]


class Dropout(nn.Module):
    """Set single numbers to zero in training, each with the chance `rate`, and scale up the rest."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, numbers: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return numbers
        return numbers * drawn(partial(self._factors, numbers), len(numbers))

    def _factors(self, numbers: Tensor, rows: int) -> Tensor:
        return nn.functional.dropout(numbers.new_ones(rows, *numbers.shape[1:]), self.rate)


class DropPath(Dropout):
    """Stochastic depth (Huang et al., 2016): drop a branch of whole clips, or, with `per_token`, of a clip's tokens."""

    def __init__(self, rate: float, *, per_token: bool = False) -> None:
        super().__init__(rate)
        self.per_token = per_token

    def _factors(self, numbers: Tensor, rows: int) -> Tensor:
        tokens = numbers.shape[1] if self.per_token else 1
        kept = numbers.new_empty(rows * tokens).bernoulli_(1 - self.rate)
        if self.rate < 1:
            kept /= 1 - self.rate
        return kept.view(rows, tokens, *[1] * (numbers.ndim - 2))
