"""Torch's global generator, lent for a while: layers and dropout draw from it and offer no argument for another."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

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
