"""Seeds derived from names, so that no random number depends on the order in which work is done."""

import hashlib

import numpy as np


def seed_from(*parts: str | int) -> int:
    """Return a 63-bit seed that is a pure function of `parts`.

    A stage, an epoch or a video names its own stream, for example `seed_from(run_seed, "task", 3, "epoch", 7)`;
    a resumed run therefore draws the numbers that an uninterrupted one would have drawn.
    """
    digest = hashlib.sha256("\x1f".join(f"{type(part).__name__}:{part}" for part in parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def numpy_generator(*parts: str | int) -> np.random.Generator:
    """Return a NumPy generator seeded with `seed_from(*parts)`."""
    return np.random.default_rng(seed_from(*parts))
