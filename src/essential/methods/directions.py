"""The principal directions of a matrix, and directions kept as the signs of their numbers."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

_ROUNDS = 8


def leading_directions(total: Float[Tensor, "width width"], number: int) -> Float[Tensor, "width number"]:
    """Return eigenvectors of a positive matrix, those of the largest eigenvalues first, as near as a few rounds come.

    By orthogonal iteration: a wide matrix has far more eigenvectors than are wanted.
    """
    start = torch.randn(len(total), number, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    directions = torch.linalg.qr(start.to(total)).Q
    for _ in range(_ROUNDS):
        directions = torch.linalg.qr(total @ directions).Q
    _, turn = torch.linalg.eigh(directions.T @ total @ directions)
    turned: Tensor = directions @ turn.flip(1)
    return turned


def packed_signs(directions: Float[Tensor, "width rank"]) -> UInt8[Tensor, " bytes"]:
    """Return the sign of every number in a bit, direction after direction, each from a new byte on."""
    padded = nn.functional.pad((directions >= 0).T.to(torch.uint8), (0, -len(directions) % 8)).unflatten(1, (-1, 8))
    places = torch.arange(8, dtype=torch.uint8, device=directions.device)
    packed: Tensor = (padded << places).sum(dim=2, dtype=torch.uint8)
    return packed.flatten()


def directions_of(signs: UInt8[Tensor, " bytes"], width: int) -> Float[Tensor, "width rank"]:
    """Return what signs say, as columns of length 1, orthogonal to each other; the first are those of fewer signs."""
    bits = signs.view(-1, -(-width // 8), 1) >> torch.arange(8, dtype=torch.uint8, device=signs.device) & 1
    columns, triangle = torch.linalg.qr((2.0 * bits.flatten(1)[:, :width].double() - 1).T)
    positive: Tensor = columns * triangle.diagonal().sign().where(triangle.diagonal() != 0, 1.0)
    return positive.contiguous()
