"""One thread of a process computes at a time: torch's generator of random numbers belongs to the whole process."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Any

import torch

from essential.engine.process_group import ProcessGroup
from essential.features.cores import torch_threads

# By process: a forked one has a copy of its parent's, which a thread that it does not have may hold for ever.
_LOCKS: dict[int, Any] = {}


@contextmanager
def turn(threads: int | None, group: ProcessGroup | None = None) -> Iterator[None]:
    """Wait until no other thread learns or predicts; then let torch compute with `threads` threads, see there.

    All learners and runs of a process share one lock, as they change for a while what belongs to the process: torch's
    number of threads and its generator of random numbers. Both are put back. A thread that has its turn may take it
    again. Processes that train together wait for each other already, so of a `group` nobody takes turns.
    """
    if group is not None and group.size > 1:
        with torch_threads(threads):
            yield
    else:
        with _LOCKS.setdefault(os.getpid(), RLock()), torch_threads(threads), torch.random.fork_rng(devices=[]):
            yield
