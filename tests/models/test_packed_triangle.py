"""Packed triangles: what goes in comes out, row after row."""

import pytest
import torch

from essential.models.closed_form import pack_upper, packed_size, unpack_upper


def test_the_order_is_row_after_row() -> None:
    matrix = torch.tensor([[1.0, 2, 3], [0, 4, 5], [0, 0, 6]])
    assert pack_upper(matrix).tolist() == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("width", [1, 2, 3, 7, 150])
@pytest.mark.parametrize("blocks", [(), (3,)])
def test_a_matrix_comes_back(width: int, blocks: tuple[int, ...]) -> None:
    matrix = torch.randn(*blocks, width, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    packed = pack_upper(matrix)
    assert packed.shape == (*blocks, packed_size(width))
    assert packed_size(width) == sum(range(width + 1))
    assert torch.equal(unpack_upper(packed), matrix.triu())
