"""Holding back Python's cyclic garbage collector while very many small objects are made."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused_collector() -> Iterator[None]:
    """Let the collector rest inside. Each of its rounds walks all that is there: half the time of opening a long list.

    What a list is made of holds no cycles, so nothing is there to collect. Inside another pause it does nothing.
    """
    was_running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_running:
            gc.enable()
