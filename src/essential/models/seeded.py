"""Global state of torch changed for the time of a block: its generators, and the mode of modules."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import nn

from essential.seeding import seed_from
from essential.torch_seed import drawing_from


def torch_seeded(*parts: str | int) -> AbstractContextManager[None]:
    """Seed torch's global generators with `seed_from(*parts)` and put their old states back afterwards."""
    return drawing_from(seed_from(*parts), gpus=True)


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
