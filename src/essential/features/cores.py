"""How the CPU's cores are shared between the processes that decode and the encoder."""

import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import current_process
from multiprocessing.context import ForkServerProcess
from typing import NamedTuple

import torch

from essential.encoders.base import Encoder
from essential.features.provenance import Recipe

# From these the encoder's share of the work is guessed, not measured: the number of threads must not depend on how busy
# the machine is, as the rounding may depend on it. Ten times too much or too little still tells a ViT (280 thousand
# million operations for a clip) from a small network (a thousandth of that).
_OPERATIONS_PER_SECOND = {"float32": 5e10, "bfloat16": 5e10, "int8": 2e11}  # of a core
_SECONDS_TO_DECODE = 0.15  # a clip of ten seconds
_SECONDS_TO_TRANSFORM = 0.02  # a view
_PATCH = 16
_IMPORTED_IN = os.getpid()


class Sharing(NamedTuple):
    """How many worker processes decode, and how many threads torch has in the main process."""

    workers: int
    threads: int


def share_cores(wanted_workers: int | None, *, recipe: Recipe, views: int) -> Sharing:
    """Return how many processes decode (`wanted_workers` if given), and how many threads the encoder has.

    Cores that are promised twice cost far more than they give: torch's threads wait for each other in a busy loop. So
    the encoder gets its share of the work, all cores if it is a ViT: then the workers idle most of the time. (On two
    cores, six videos through a ResNet-18: 6 seconds with two threads beside two workers, 10 with one thread. Clips
    of a second or two through efficientnet-lite0: 15 and 8 a second.)
    Threads of the command line sleep while they wait, see `cli.main`.
    """
    cores = cpu_cores()
    allowed = torch.get_num_threads()
    if device_of(recipe.encoder).type != "cpu":
        return Sharing(decoders(wanted_workers), allowed)
    if wanted_workers == 0:
        # They take turns.
        return Sharing(0, min(allowed, cores))
    encoding = views * encoding_seconds(recipe)
    decoding = _SECONDS_TO_DECODE + views * _SECONDS_TO_TRANSFORM
    threads = max(1, min(allowed, cores, math.ceil(cores * encoding / (encoding + decoding))))
    # Two at least where there are two cores: the encoder may wait for a video that is slow to decode.
    return Sharing(max(cores - threads, min(2, cores)) if wanted_workers is None else wanted_workers, threads)


def decoders(wanted: int | None) -> int:
    """Return how many processes decode where nothing is encoded beside them."""
    return cpu_cores() if wanted is None else wanted


def encoding_seconds(recipe: Recipe) -> float:
    """Return about how long a core takes to encode a clip: a guess, and the same on every machine."""
    return clip_operations(recipe.encoder, recipe.frames) / _OPERATIONS_PER_SECOND[recipe.precision]


def clip_operations(encoder: Encoder, frames: int) -> float:
    """Return about how many floating-point operations encode a clip, a multiply-add counted as two.

    Each weight is taken to be used once for every patch of 16 x 16 pixels, as in a ViT-B/16: it does 35 thousand
    million for a frame, and this says 34; of a ResNet-18 3.6 and 4.4, of efficientnet-lite0 0.8 and 1.3.
    """
    weights = sum(parameter.numel() for parameter in encoder.parameters())
    return 2.0 * weights * (encoder.pixel_format.size / _PATCH) ** 2 * encoder.frames_read(frames)


@contextmanager
def torch_threads(count: int | None) -> Iterator[None]:
    """Let torch compute with `count` threads, without it as many as there are cores, and put the number back.

    It is 1 in a process that was forked from another: torch would wait for ever for threads that only that one has. A
    fork server has none.
    """
    is_forked = os.getpid() != _IMPORTED_IN and not isinstance(current_process(), ForkServerProcess)
    before = torch.get_num_threads()
    torch.set_num_threads(1 if is_forked else count or cpu_cores())
    try:
        yield
    finally:
        torch.set_num_threads(before)


def cpu_cores() -> int:
    """Return the cores that this process may use: its share of them with ranks of `torchrun` or workers of Ray."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    own = int(os.environ.get("ESSENTIAL_CORES", "0")) or cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(1, min(own, cores))


def device_of(encoder: Encoder) -> torch.device:
    """Return where the encoder computes."""
    # A plug-in's encoder may have no weights; it works where the clips are.
    return next((parameter.device for parameter in encoder.parameters()), torch.device("cpu"))
