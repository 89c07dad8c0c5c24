"""A seed for torch's global generators, for a while: below every package that draws with torch."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def drawing_from(seed: int, *, gpus: bool = False) -> Iterator[None]:
    """Seed torch's global generators, the GPUs' too if asked, and put their old states back; no two threads at once."""
    with torch.random.fork_rng(None if gpus else []):
        # Not `torch.manual_seed`: it seeds GPUs too, and keeps a traceback for every kind of device that is not there.
        torch.default_generator.manual_seed(seed)
        if gpus and torch.cuda.is_available():
            torch.cuda.manual_seed_all(seed)
        yield
