"""How the CPU's cores are shared between the processes that decode and the encoder."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from multiprocessing import current_process
from multiprocessing.context import ForkServerProcess
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch._subclasses.fake_tensor import FakeCopyMode, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from essential.encoders.base import Encoder
from essential.features.provenance import Recipe

# From these the encoder's share of the work is guessed, not measured: the number of threads must not depend on how busy
# the machine is, as the rounding may depend on it. Ten times too much or too little still tells a ViT (280 thousand
# million operations for a clip) from a small network (a thousandth of that).
_OPERATIONS_PER_SECOND = {"float32": 5e10, "bfloat16": 5e10, "int8": 2e11}  # of a core
_SECONDS_TO_DECODE = 0.15  # a clip of ten seconds
_SECONDS_TO_TRANSFORM = 0.02  # a view
_IMPORTED_IN = os.getpid()
# By frames, of encoders that were counted: a service asks for every clip that it answers.
_COUNTED: "WeakKeyDictionary[Encoder, dict[int, int]]" = WeakKeyDictionary()


class Sharing(NamedTuple):
    """How many worker processes decode, and how many threads torch has in the main process."""

    workers: int
    threads: int


def share_cores(wanted_workers: int | None, *, recipe: Recipe, views: int) -> Sharing:
    """Return how many processes decode (`wanted_workers` if given), and how many threads the encoder has.

    Cores that are promised twice cost far more than they give: torch's threads wait for each other in a busy loop. So
    the encoder gets its share of the work, all cores if it is a ViT: then the workers idle most of the time. (On two
    cores, six videos through a ResNet-18: 6 seconds with two threads beside two workers, 10 with one thread.)
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
    threads = max(1, min(allowed, cores, round(cores * encoding / (encoding + decoding))))
    # Two at least where there are two cores: the encoder may wait for a video that is slow to decode.
    return Sharing(max(cores - threads, min(2, cores)) if wanted_workers is None else wanted_workers, threads)


def decoders(wanted: int | None) -> int:
    """Return how many processes decode where nothing is encoded beside them."""
    return cpu_cores() if wanted is None else wanted


def encoding_seconds(recipe: Recipe) -> float:
    """Return about how long a core takes to encode a clip: a guess, and the same on every machine."""
    return clip_operations(recipe.encoder, recipe.frames) / _OPERATIONS_PER_SECOND[recipe.precision]


def clip_operations(encoder: Encoder, frames: int) -> int:
    """Return the floating-point operations in encoding a clip, a multiply-add counted as two; counted once.

    Counting encodes a frame, where each is on its own. A clip that is encoded as a whole may take minutes, and its
    shapes are enough: those of a copy, as an encoder may keep what it computes. One that cannot be copied, or computes
    with more than torch, encodes a clip.
    """
    counted = _COUNTED.setdefault(encoder, {})
    if frames not in counted:
        counted[frames] = _counted(encoder, frames)
    return counted[frames]


def _counted(encoder: Encoder, frames: int) -> int:
    if encoder.per_frame:
        return frames * _operations(encoder, 1)
    with suppress(Exception), FakeTensorMode(allow_non_fake_inputs=True) as shapes:
        with FakeCopyMode(shapes):
            copy = deepcopy(encoder)
        return _operations(copy, encoder.frames_read(frames))
    return _operations(encoder, encoder.frames_read(frames))


def _operations(encoder: Encoder, read: int) -> int:
    size = encoder.pixel_format.size
    with _Operations() as operations, torch.no_grad():
        encoder(torch.zeros(1, read, 3, size, size, device=device_of(encoder)))
    total: int = operations.total
    return total


class _Operations(TorchDispatchMode):
    """Adds up the operations of this thread; torch's own `FlopCounterMode` hooks into the modules of all threads."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        del types
        named = dict(kwargs or {})
        result = func(*args, **named)
        if func._overloadpacket in flop_registry:
            self.total += flop_registry[func._overloadpacket](*args, **named, out_val=result)
        return result


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
    """Return the cores that this process may use: with ranks that `torchrun` started here, its share of them."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def device_of(encoder: Encoder) -> torch.device:
    """Return where the encoder computes."""
    # A plug-in's encoder may have no weights; it works where the clips are.
    return next((parameter.device for parameter in encoder.parameters()), torch.device("cpu"))
