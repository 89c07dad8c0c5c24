"""Random numbers of torch, and its global state changed for the time of a block."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor, nn

from essential.seeding import seed_from


@contextmanager
def drawing_from(seed: int, *, gpus: bool = False) -> Iterator[None]:
    """Seed torch's global generators, the GPUs' too if asked, and put their old states back; no two threads at once."""
    with torch.random.fork_rng(None if gpus else []):
        # Not `torch.manual_seed`: it seeds GPUs too, and keeps a traceback for every kind of device that is not there.
        torch.default_generator.manual_seed(seed)
        if gpus and torch.cuda.is_available():
            torch.cuda.manual_seed_all(seed)
        yield


def torch_seeded(*parts: str | int) -> AbstractContextManager[None]:
    """Seed torch's global generators with `seed_from(*parts)` and put their old states back afterwards."""
    return drawing_from(seed_from(*parts), gpus=True)


def torch_generator(*parts: str | int) -> torch.Generator:
    """Return a CPU generator seeded with `seed_from(*parts)`."""
    return torch.Generator().manual_seed(seed_from(*parts))


def standard_normal(*shape: int, generator: torch.Generator | None = None) -> Tensor:
    """Return what `torch.randn` does, but on the meta device nothing is drawn: it would load torch's compiler."""
    numbers = torch.empty(shape)
    return numbers if numbers.is_meta else numbers.normal_(generator=generator)


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
