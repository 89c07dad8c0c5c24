"""What is left out at random in training, the same whatever ranks share the batch. Nothing at rate 0, or in evaluation.

The numbers are those of torch's and torchvision's own, drawn from torch's global generator.
"""

from functools import partial

from torch import Tensor, nn

from essential.models.whole_batch import drawn


class DropPath(nn.Module):
    """Stochastic depth (Huang et al., 2016): set whole samples of a residual branch to zero, and scale up the rest.

    Args:
        rate: the chance of each.
        per_token: the samples are (clip, token), not clips.
    """

    def __init__(self, rate: float, *, per_token: bool = False) -> None:
        super().__init__()
        self.rate = rate
        self.per_token = per_token

    def forward(self, branch: Tensor) -> Tensor:
        """Return the branch, (clips, numbers, ...) or (clips, tokens, numbers, ...), with the samples dropped."""
        if not self.training or self.rate == 0:
            return branch
        return branch * drawn(partial(self._factors, branch), len(branch))

    def _factors(self, branch: Tensor, clips: int) -> Tensor:
        tokens = branch.shape[1] if self.per_token else 1
        kept = branch.new_empty(clips * tokens).bernoulli_(1 - self.rate)
        if self.rate < 1:
            kept /= 1 - self.rate
        return kept.view(clips, tokens, *[1] * (branch.ndim - 2))


class Dropout(nn.Module):
    """Set single numbers to zero, and scale up the rest.

    Args:
        rate: the chance of each.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, numbers: Tensor) -> Tensor:
        """Return the numbers (batch first) with some dropped."""
        if not self.training or self.rate == 0:
            return numbers
        return numbers * drawn(partial(self._factors, numbers), len(numbers))

    def _factors(self, numbers: Tensor, rows: int) -> Tensor:
        return nn.functional.dropout(numbers.new_ones(rows, *numbers.shape[1:]), self.rate)
