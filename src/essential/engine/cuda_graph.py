"""On a GPU: a training step is captured once and replayed, one launch in place of hundreds (a CUDA graph).

A step of ESSENTIAL at the published size is some 600 small kernels; the GPU needs a twelfth of the time that Python and
torch take to launch them one by one.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from essential.errors import TrainingError
from essential.methods.contract import Batch

# Steps before the captured one: whatever is set up once (the optimiser's state, cuBLAS) must be there.
_BEFORE = 3

Take = Callable[[Batch], dict[str, Tensor]]


class CudaGraph:
    """Takes the steps of one stage: all as they are, or, where `enabled`, the first few so and the others by replay.

    A graph has every operation with the addresses of its tensors: weights, gradients, the optimiser's state and the
    learning rate stay where they are, and each step's clips are copied into one batch. Torch's generator advances in a
    replay too, so the numbers are those of steps without a graph.

    Args:
        enabled: the stage is steady, on a GPU, and no other rank has a part in it.
    """

    def __init__(self, *, enabled: bool) -> None:
        self._stream = _own_stream() if enabled else None
        self._taken = 0
        self._first: list[torch.Size] = []
        self._graph: torch.cuda.CUDAGraph | None = None
        self._batch: Batch | None = None
        self._terms: dict[str, Tensor] = {}

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Compute in a stream of its own meanwhile: torch's default stream cannot be captured."""
        if self._stream is None:
            yield
            return
        outside = torch.cuda.current_stream()
        self._stream.wait_stream(outside)
        try:
            with torch.cuda.stream(self._stream):
                yield
        finally:
            outside.wait_stream(self._stream)

    def take(self, take: Take, batch: Batch, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
        """Do what `take(batch)` does; the terms returned hold until the next step."""
        self._taken += 1
        self._first = self._first or _shapes(batch)  # an epoch's last batch may be smaller
        if self._stream is not None and self._graph is None and self._taken > _BEFORE and _shapes(batch) == self._first:
            self._capture(take, batch, optimizer)
        if self._graph is None or self._batch is None or _shapes(batch) != _shapes(self._batch):
            return take(batch)
        for captured, given in zip(self._batch.tensors, batch.tensors, strict=True):
            captured.copy_(given)
        self._graph.replay()
        return self._terms

    def _capture(self, take: Take, batch: Batch, optimizer: torch.optim.Optimizer) -> None:
        """Capture the step without taking it."""
        graph = torch.cuda.CUDAGraph()
        self._batch = Batch(*(tensor.clone() for tensor in batch.tensors))
        # A gradient that is there already would be added to in every replay.
        optimizer.zero_grad(set_to_none=True)
        try:
            with _capturable(optimizer), torch.cuda.graph(graph, stream=self._stream):
                self._terms = take(self._batch)
        except RuntimeError as error:
            raise TrainingError(
                f"a training step could not be captured as a CUDA graph ({error.__context__ or error})",
                remedy="a method whose stage is `steady` must do what `Stage` in methods/contract.py asks of it",
            ) from error
        self._graph = graph


@contextmanager
def _capturable(optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Tell the optimiser that it is being captured; it computes the same."""
    for group in optimizer.param_groups:
        group["capturable"] = True
    try:
        yield
    finally:
        for group in optimizer.param_groups:
            group["capturable"] = False


@functools.cache
def _own_stream() -> torch.cuda.Stream:
    """Return one stream for the whole process: cuBLAS keeps memory for every stream that it has seen."""
    return torch.cuda.Stream()


def _shapes(batch: Batch) -> list[torch.Size]:
    return [tensor.shape for tensor in batch.tensors]
