"""Seeds derived from names, so that random numbers do not depend on the order of work."""

import hashlib

import numpy as np


def seed_from(*parts: str | int) -> int:
    """Return a 63-bit seed that is a pure function of `parts`, such as `seed_from(run_seed, "task", 3, "epoch", 7)`.

    A resumed run therefore draws the numbers of an uninterrupted one.
    """
    digest = hashlib.sha256("\x1f".join(f"{type(part).__name__}:{part}" for part in parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def numpy_generator(*parts: str | int) -> np.random.Generator:
    """Return a NumPy generator seeded with `seed_from(*parts)`."""
    return np.random.default_rng(seed_from(*parts))
