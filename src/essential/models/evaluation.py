"""Modules in evaluation for a while, such as to judge clips in the middle of training."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def in_evaluation(network: nn.Module) -> Iterator[None]:
    """Have `network` in evaluation, and then each of its modules in the mode that it was in."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
