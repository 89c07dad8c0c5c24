"""Rows of numbers in few bits: a rotation that costs no bytes, a scale per row, levels, and codes packed into bytes.

A rotation by random signs and Hadamard transforms spreads whatever a row holds evenly over its numbers, which are then
about normal. They are divided by the row's scale, and each becomes the nearest of 2^bits levels. Up to 5 bits the scale
is the row's root mean square and the levels are Lloyd's and Max's for normal numbers, those of the least squared error;
above, the scale is the row's largest number and the levels have equal distances, so that nothing is cut off.

Decoding adds and multiplies number by number, in one order. A row gives the same bits alone and in any batch, so codes
that are cut, joined, written and read again never change what they stand for.

Sources: Max, Quantizing for Minimum Distortion, IRE Transactions 1960; Lloyd, Least Squares Quantization in PCM, IEEE
Transactions on Information Theory 1982; Ailon and Chazelle, The Fast Johnson-Lindenstrauss Transform, SIAM Journal on
Computing 2009 (signs and Hadamard transforms); Zandieh et al., TurboQuant, 2025, arXiv 2504.19874 (a rotation, then the
same levels for every number).
"""

import hashlib
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import BFloat16, Float, Float32, Int, UInt8
from torch import Tensor

_MOST_BITS = 16
# With more the levels of normal numbers gain nothing over equal distances, which hold every number of a row.
_MOST_NORMAL_BITS = 5
# Far below the spacing of the levels, and far above what two processors' arithmetic differs by.
_GRID = 2.0**-20
# No sum of a row's numbers leaves float32. What is larger, far above any feature, is cut off there.
_LARGEST_SCALE = 2.0**100


class Codes(NamedTuple):
    """Rows of numbers as they are stored; which bits and which seed they have is known beside them."""

    packed: UInt8[Tensor, "*rows bytes"]
    scales: BFloat16[Tensor, " *rows"]

    @property
    def bytes(self) -> int:
        """Bytes as stored."""
        return self.packed.nbytes + self.scales.nbytes


def encoded(rows: Float[Tensor, "*rows numbers"], *, bits: int, seed: int) -> Codes:
    """Return rows of finite numbers in 1 to 16 bits a number, rotated as `seed` says."""
    turned = rotated(rows.double(), seed)
    if bits <= _MOST_NORMAL_BITS:
        scales = _as_stored(turned.square().mean(dim=-1).sqrt())
    else:
        scales = _as_stored(turned.abs().amax(dim=-1), at_least=True)
    # A row of zeros has the scale 0, and any level times 0 is 0.
    divided = turned / scales.double().clamp(min=torch.finfo(torch.float64).tiny)[..., None]
    table = levels(bits)
    return Codes(pack(torch.bucketize(divided, (table[1:] + table[:-1]) / 2), bits), scales)


def decoded(codes: Codes, *, bits: int, seed: int, numbers: int) -> Float32[Tensor, "*rows numbers"]:
    """Return the rows that `encoded` was given, as nearly as the levels allow."""
    rows = rotated_back(levels(bits).float()[unpack(codes.packed, bits, numbers)], seed)
    return rows * codes.scales.float()[..., None]


def packed_bytes(numbers: int, bits: int) -> int:
    """Return the bytes of a row's codes; each row begins with a byte of its own."""
    return -(-numbers * bits // 8)


def pack(codes: Int[Tensor, "*rows numbers"], bits: int) -> UInt8[Tensor, "*rows bytes"]:
    """Write each row's codes, of `bits` bits each, behind each other, the lowest bit of the first code first."""
    rows = codes.shape[:-1]
    each = np.unpackbits(codes.numpy().astype("<u2")[..., None].view(np.uint8), axis=-1, bitorder="little")
    bitwise = each[..., :bits].reshape(*rows, codes.shape[-1] * bits)
    return torch.from_numpy(np.packbits(bitwise, axis=-1, bitorder="little"))


def unpack(packed: UInt8[Tensor, "*rows bytes"], bits: int, numbers: int) -> Int[Tensor, "*rows numbers"]:
    """Return the codes that `pack` was given."""
    rows = packed.shape[:-1]
    bitwise = np.unpackbits(packed.numpy(), axis=-1, count=numbers * bits, bitorder="little")
    each = np.zeros((*rows, numbers, _MOST_BITS), np.uint8)
    each[..., :bits] = bitwise.reshape(*rows, numbers, bits)
    codes = np.packbits(each, axis=-1, bitorder="little").view("<u2")[..., 0]
    return torch.from_numpy(codes.astype(np.int64))


@lru_cache
def levels(bits: int) -> Float[Tensor, " levels"]:
    """Return the 2^bits levels, ascending, in units of a row's scale."""
    count = 2**bits
    if bits > _MOST_NORMAL_BITS:
        return torch.linspace(-1, 1, count, dtype=torch.float64, device="cpu")
    # Begun with the levels that are best for many bits: the quantiles of a normal with three times the variance.
    middles = (torch.arange(count, dtype=torch.float64, device="cpu") + 0.5) / count
    found: Tensor = 3**0.5 * torch.special.ndtri(middles)
    before = torch.zeros_like(found)
    while (found - before).abs().max() > _GRID**2:
        before, found = found, _means_of_cells(found)
    return (found / _GRID).round() * _GRID


def rotated(rows: Float[Tensor, "*rows numbers"], seed: int) -> Float[Tensor, "*rows numbers"]:
    """Return the rows under an orthogonal transform that mixes all of their numbers."""
    first, second = _signs(rows.shape[-1], seed)
    rows = _mixed(rows * first, at_end=False)
    return _mixed(rows * second, at_end=True)


def rotated_back(rows: Float[Tensor, "*rows numbers"], seed: int) -> Float[Tensor, "*rows numbers"]:
    """Undo `rotated`."""
    first, second = _signs(rows.shape[-1], seed)
    turned: Tensor = _mixed(_mixed(rows, at_end=True) * second, at_end=False) * first
    return turned


def _mixed(rows: Float[Tensor, "*rows numbers"], *, at_end: bool) -> Float[Tensor, "*rows numbers"]:
    """Apply the Hadamard transform to as many numbers, a power of two, as there are: the first ones, or the last."""
    numbers = rows.shape[-1]
    width = 2 ** (numbers.bit_length() - 1)
    start = numbers - width if at_end else 0
    before, block, after = rows.split([start, width, numbers - width - start], dim=-1)
    step = 1
    while step < width:
        left, right = block.unflatten(-1, (-1, 2, step)).unbind(-2)
        block = torch.stack([left + right, left - right], dim=-2).flatten(-3)
        step *= 2
    return torch.cat([before, block * width**-0.5, after], dim=-1)


@lru_cache
def _signs(numbers: int, seed: int) -> Float32[Tensor, "2 numbers"]:
    """Return two rows of 1 and -1, from a hash, which no library's generator can change."""
    content = hashlib.shake_256(f"rotation {seed} {numbers}".encode()).digest(packed_bytes(2 * numbers, 1))
    drawn = np.unpackbits(np.frombuffer(content, np.uint8), count=2 * numbers).reshape(2, numbers)
    return torch.from_numpy(1 - 2 * drawn.astype(np.float32))


def _means_of_cells(found: Float[Tensor, " levels"]) -> Float[Tensor, " levels"]:
    """Return the mean of the normal numbers that are nearest to each level: one step of Lloyd's method."""
    infinite = torch.tensor([torch.inf], dtype=torch.float64, device="cpu")
    edges = torch.cat([-infinite, (found[1:] + found[:-1]) / 2, infinite])
    density = torch.exp(-edges.square() / 2) / (2 * torch.pi) ** 0.5
    means: Tensor = (density[:-1] - density[1:]) / torch.special.ndtr(edges).diff()
    return means


def _as_stored(scales: Float[Tensor, " *rows"], *, at_least: bool = False) -> BFloat16[Tensor, " *rows"]:
    """Return scales in 16 bits with float32's range; those that have to be `at_least` what they were are rounded up."""
    scales = scales.clamp(max=_LARGEST_SCALE)
    nearest = scales.bfloat16()
    # Positive numbers in order are whole numbers in order.
    above: Tensor = (nearest.view(torch.int16) + (nearest < scales).short()).view(torch.bfloat16)
    return above if at_least else nearest
