"""Triangular and symmetric matrices as the numbers of their upper triangle: half the bytes of the square."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def packed_size(width: int) -> int:
    """Return how many numbers the upper triangle of a (`width`, `width`) matrix has."""
    return width * (width + 1) // 2


def pack_upper(matrix: Float[Tensor, "width width"]) -> Float[Tensor, " packed"]:
    """Return the upper triangle, row after row; what lies below the diagonal is ignored."""
    return matrix[_upper(len(matrix), matrix.device)]


def unpack_upper(packed: Float[Tensor, " packed"]) -> Float[Tensor, "width width"]:
    """Return the upper triangular matrix that `pack_upper` was given, with zeros below the diagonal."""
    width = (math.isqrt(8 * len(packed) + 1) - 1) // 2
    matrix = packed.new_zeros(width, width)
    matrix[_upper(width, packed.device)] = packed
    return matrix


def unpack_symmetric(packed: Float[Tensor, " packed"]) -> Float[Tensor, "width width"]:
    """Return the symmetric matrix that `pack_upper` was given."""
    upper = unpack_upper(packed)
    return upper + upper.triu(1).T


def _upper(width: int, device: torch.device) -> Bool[Tensor, "width width"]:
    # A mask, not indices: of a matrix of side 6144 it takes 38 MB, where the indices would take 302.
    return torch.ones(width, width, dtype=torch.bool, device=device).triu()
