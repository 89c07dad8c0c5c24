"""How the CPU's cores are shared between the processes that decode and the encoder."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def share_cores(wanted_workers: int | None, *, device: torch.device, videos: int) -> tuple[int, int]:
    """Return how many worker processes decode, and how many threads the encoder has in the main process.

    Cores that are promised twice cost far more than they give: torch's threads wait for each other in a busy loop.

    Args:
        wanted_workers: what the config says; None leaves it to this function.
        device: where the encoder computes.
        videos: to be decoded; no more workers than that.
    """
    cores = cpu_cores()
    allowed = torch.get_num_threads()
    if device.type != "cpu":
        return min(cores if wanted_workers is None else wanted_workers, videos), allowed
    if wanted_workers is None:
        # Two at least where there are two cores: the encoder's one thread waits for them most of the time.
        wanted_workers = max(cores - cores // 2, min(2, cores))
    return min(wanted_workers, videos), max(1, min(allowed, cores - wanted_workers))


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch compute with `count` threads in this process, and put the number back at the end."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def cpu_cores() -> int:
    """Return the cores that this process may use: with ranks that `torchrun` started here, its share of them."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
