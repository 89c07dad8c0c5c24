"""Stochastic depth (Huang et al., 2016), from torchvision, as a layer that does nothing at rate 0 or in evaluation."""

from torch import Tensor, nn
from torchvision.ops import stochastic_depth


class DropPath(nn.Module):
    """Set whole samples of a residual branch to zero with probability `rate`, and scale up the rest."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, branch: Tensor) -> Tensor:
        """Return the branch (batch first) with the samples dropped."""
        dropped: Tensor = stochastic_depth(branch, self.rate, "row", self.training)
        return dropped
