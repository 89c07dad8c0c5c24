"""Threads of one process that use learners take turns."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from threading import RLock
from typing import Any, TypeVar, cast

import torch

from essential.features.cores import own_threads

# By process: a forked one has a copy of its parent's, which a thread that it does not have may hold for ever.
_LOCKS: dict[int, Any] = {}

Method = TypeVar("Method", bound=Callable[..., Any])


@contextmanager
def turn(threads: int | None) -> Iterator[None]:
    """Wait until no other thread computes with a learner; then let torch compute with `threads` threads, see there.

    All learners of a process share the turn, as they change for a while what is the process's: torch's number of
    threads and its generator of random numbers. Both are put back.
    """
    with _LOCKS.setdefault(os.getpid(), RLock()), own_threads(threads), torch.random.fork_rng(devices=[]):
        yield


def in_turn(method: Method) -> Method:
    """Do a method in a turn, with the number of threads that its object's config gives."""

    @wraps(method)
    def in_its_turn(self: Any, *args: Any, **kwargs: Any) -> Any:
        with turn(self.config.training.threads):
            return method(self, *args, **kwargs)

    return cast(Method, in_its_turn)
