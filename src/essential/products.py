"""Products with the weights of linear layers, by whichever of torch's libraries is quick on this processor.

Torch multiplies float32 matrices by MKL, which has AVX-512 on Intel's processors alone: on an AMD EPYC with it, a core
does 110 thousand million operations a second, with AVX2. oneDNN, which torch has for convolutions and for its compiler,
does 210 to 250 there, in float32 too. On Intel's both are equally quick, and on processors without AVX-512 nearly so:
there nothing changes.

The sums are added up in another order, so the last digits are others: as on another processor.
"""

import functools
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

# Multiplications below which the call itself takes longer than what is gained: as many as 24 rows by 300 x 300.
_WORTH_IT = 2**21
_PROCESSOR = Path("/proc/cpuinfo")
_plain: ContextVar[bool] = ContextVar("torch alone", default=False)


def linear(
    rows: Float[Tensor, "*rows inner"],
    weight: Float[Tensor, "outputs inner"],
    bias: Float[Tensor, " outputs"] | None = None,
) -> Float[Tensor, "*rows outputs"]:
    """Return what `torch.nn.functional.linear` does, but for rounding.

    Within `torch.func` it is called in `plain`.
    """
    if not _by_onednn(rows, weight):
        return torch.nn.functional.linear(rows, weight, bias)
    product: Tensor = _Linear.apply(rows, weight, bias)  # type: ignore[no-untyped-call]
    return product


def linear_gelu(
    rows: Float[Tensor, "*rows inner"],
    weight: Float[Tensor, "outputs inner"],
    bias: Float[Tensor, " outputs"] | None = None,
) -> Float[Tensor, "*rows outputs"]:
    """Return the exact GELU of what `linear` gives, by oneDNN in the same pass; without a gradient."""
    if not _by_onednn(rows, weight):
        return torch.nn.functional.gelu(torch.nn.functional.linear(rows, weight, bias))
    return _product(rows, weight, bias, "gelu")


@contextmanager
def plain() -> Iterator[None]:
    """Let torch's own operations alone compute in the block: `torch.func` has no rules for others."""
    before = _plain.set(True)
    try:
        yield
    finally:
        _plain.reset(before)


def is_plain() -> bool:
    """Whether torch's own operations alone compute: in `plain`, and where it chooses types or traces a program."""
    return torch.compiler.is_compiling() or torch.is_autocast_enabled("cpu") or _plain.get()


def _by_onednn(rows: Tensor, weight: Tensor) -> bool:
    # What is exported takes any number of rows only if nothing depends on it.
    return (
        not is_plain()
        and rows.numel() * len(weight) >= _WORTH_IT
        and quick_by_onednn()
        and rows.dtype == weight.dtype == torch.float32
        and rows.device.type == weight.device.type == "cpu"
    )


@functools.cache
def quick_by_onednn() -> bool:
    """Whether oneDNN is the quicker library here: there is AVX-512, which MKL does not use."""
    return (
        torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
        and not _is_intels()
    )


def _is_intels() -> bool:
    described = _PROCESSOR.read_text(encoding="utf-8") if _PROCESSOR.exists() else platform.processor()
    return "GenuineIntel" in described


def _product(rows: Tensor, weight: Tensor, bias: Tensor | None = None, then: str = "none") -> Tensor:
    product: Tensor = torch.ops.mkldnn._linear_pointwise(rows, weight, bias, then, [], "none")
    return product


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(rows, weight)
        return _product(rows, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        rows, weight = ctx.saved_tensors
        of_rows, of_weight, of_bias = ctx.needs_input_grad
        flat = gradient.flatten(0, -2)
        return (
            _product(gradient, weight.T) if of_rows else None,
            _product(flat.T, rows.flatten(0, -2).T) if of_weight else None,
            flat.sum(dim=0) if of_bias else None,
        )
