"""Global state of torch changed for the time of a block: its generators, and the mode of modules."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from essential.seeding import seed_from


@contextmanager
def torch_seeded(*parts: str | int) -> Iterator[None]:
    """Seed torch's global generators with `seed_from(*parts)` and put their old states back afterwards."""
    seed = seed_from(*parts)
    with torch.random.fork_rng():
        # `torch.manual_seed` does the same, and keeps a traceback for every kind of device that is not there.
        torch.default_generator.manual_seed(seed)
        if torch.cuda.is_available():
            torch.cuda.manual_seed_all(seed)
        yield


def torch_generator(*parts: str | int) -> torch.Generator:
    """Return a CPU generator seeded with `seed_from(*parts)`."""
    return torch.Generator().manual_seed(seed_from(*parts))


@contextmanager
def in_evaluation(network: nn.Module) -> Iterator[None]:
    """Put `network` in evaluation, and afterwards each of its modules in the mode that it was in."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
