"""Numbers in few bits, against whole numbers of Python, dense matrices and sums over a grid."""

import hashlib
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from essential.memory.quantiser import (
    Codes,
    decoded,
    encoded,
    levels,
    pack,
    packed_bytes,
    rotated,
    rotated_back,
    unpack,
)

WIDTHS = [1, 2, 3, 5, 8, 24, 37, 128]
ALL_BITS = range(1, 17)


def rows_of(count: int, numbers: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, numbers, generator=torch.Generator().manual_seed(seed))


def there_and_back(rows: torch.Tensor, bits: int, seed: int = 0) -> torch.Tensor:
    return decoded(encoded(rows, bits=bits, seed=seed), bits=bits, seed=seed, numbers=rows.shape[-1])


# Normal numbers in cells so narrow that sums over them are integrals to six digits.
GRID = np.linspace(-9, 9, 1_800_001)
MASS = np.exp(-(GRID**2) / 2) / np.exp(-(GRID**2) / 2).sum()


def squared_error(table: np.ndarray) -> float:
    nearest = table[np.searchsorted((table[1:] + table[:-1]) / 2, GRID)]
    return float((MASS * (GRID - nearest) ** 2).sum())


@pytest.mark.numeric
@pytest.mark.parametrize(
    # Max 1960, table I, worked out by hand to three digits: the largest level, and the mean squared error.
    ("bits", "largest", "error"),
    [(1, 0.7980, 0.3634), (2, 1.510, 0.1175), (3, 2.152, 0.03454), (4, 2.733, 0.009497), (5, 3.263, 0.002499)],
)
def test_levels_are_those_of_the_least_squared_error(bits: int, largest: float, error: float) -> None:
    table = levels(bits).numpy()
    assert len(table) == 2**bits
    np.testing.assert_array_equal(table, -table[::-1])
    assert table[-1] == pytest.approx(largest, abs=3e-3)
    found = squared_error(table)
    assert found == pytest.approx(error, rel=3e-3)
    cells = np.searchsorted((table[1:] + table[:-1]) / 2, GRID)
    means = np.bincount(cells, MASS * GRID) / np.bincount(cells, MASS)
    np.testing.assert_allclose(table, means, atol=1e-4)
    for place in range(len(table)):
        for step in (-0.02, 0.02):
            moved = table.copy()
            moved[place] += step
            assert squared_error(moved) > found


@pytest.mark.parametrize("bits", ALL_BITS)
@given(st.data())
@settings(max_examples=20, deadline=None)
def test_codes_are_packed_as_one_long_whole_number(bits: int, data: st.DataObject) -> None:
    codes = data.draw(st.lists(st.integers(0, 2**bits - 1), min_size=1, max_size=21))
    packed = pack(torch.tensor([codes, codes[::-1]]), bits)
    assert packed.shape == (2, packed_bytes(len(codes), bits))
    for row, each in zip(packed.tolist(), (codes, codes[::-1]), strict=True):
        assert int.from_bytes(bytes(row), "little") == sum(code << (place * bits) for place, code in enumerate(each))
    assert unpack(packed, bits, len(codes)).tolist() == [codes, codes[::-1]]


def test_no_row_and_no_number_can_be_packed() -> None:
    assert unpack(pack(torch.zeros(0, 3, 5, dtype=torch.long), 4), 4, 5).shape == (0, 3, 5)
    assert unpack(pack(torch.zeros(2, 0, dtype=torch.long), 4), 4, 0).shape == (2, 0)


def _rotation_by_hand(numbers: int, seed: int) -> np.ndarray:
    """Return the matrix R of y = R x: signs and Hadamard on the first 2^k numbers, then again on the last ones."""
    content = hashlib.shake_256(f"rotation {seed} {numbers}".encode()).digest((2 * numbers + 7) // 8)
    signs = [1 - 2 * (content[place // 8] >> (7 - place % 8) & 1) for place in range(2 * numbers)]
    width = max(2**power for power in range(12) if 2**power <= numbers)
    hadamard = [[(-1) ** (i & j).bit_count() / width**0.5 for j in range(width)] for i in range(width)]
    first, last = np.eye(numbers), np.eye(numbers)
    first[:width, :width] = last[numbers - width :, numbers - width :] = hadamard
    return last @ np.diag(signs[numbers:]) @ first @ np.diag(signs[:numbers])


@pytest.mark.numeric
@pytest.mark.parametrize("numbers", WIDTHS)
def test_the_rotation_against_its_matrix(numbers: int) -> None:
    rows = rows_of(4, numbers).double()
    matrix = _rotation_by_hand(numbers, 5)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(numbers), atol=1e-12)
    np.testing.assert_allclose(rotated(rows, 5).numpy(), rows.numpy() @ matrix.T, atol=1e-12)
    np.testing.assert_allclose(rotated_back(rotated(rows, 5), 5).numpy(), rows.numpy(), atol=1e-12)
    if numbers > 20:
        assert not torch.allclose(rotated(rows, 5), rotated(rows, 6))


@pytest.mark.numeric
@pytest.mark.parametrize("bits", ALL_BITS)
@pytest.mark.parametrize("numbers", WIDTHS)
def test_every_number_becomes_its_nearest_level(bits: int, numbers: int) -> None:
    rows = rows_of(6, numbers)
    codes = encoded(rows, bits=bits, seed=1)
    assert codes.bytes == 6 * (packed_bytes(numbers, bits) + 2)
    turned = rows.double().numpy() @ _rotation_by_hand(numbers, 1).T
    scales = codes.scales.double().numpy()[:, None]
    exact = np.sqrt((turned**2).mean(axis=1)) if bits <= 5 else np.abs(turned).max(axis=1)
    # Eight bits of precision.
    np.testing.assert_allclose(scales[:, 0], exact, rtol=2**-7)
    table = levels(bits).numpy()
    chosen = table[unpack(codes.packed, bits, numbers).numpy()] * scales
    nearest = np.abs(turned[:, :, None] - table * scales[:, :, None]).min(axis=2)
    np.testing.assert_allclose(np.abs(turned - chosen), nearest, atol=1e-12)
    by_hand = chosen @ _rotation_by_hand(numbers, 1)
    restored = decoded(codes, bits=bits, seed=1, numbers=numbers).double().numpy()
    # Float32: two times seven additions and a few products, on numbers no larger than the row's length.
    np.testing.assert_allclose(restored, by_hand, atol=20 * 2**-24 * float(np.linalg.norm(rows, axis=1).max()) * 2)


@pytest.mark.numeric
@pytest.mark.parametrize("bits", [6, 8, 16])
@pytest.mark.parametrize("kind", ["normal", "one number", "one huge number", "equal numbers"])
def test_no_row_is_off_by_more_than_half_a_step_in_every_number(bits: int, kind: str) -> None:
    rows = rows_of(50, 37)
    if kind == "one number":
        rows = torch.zeros(37, 37).fill_diagonal_(3.0)
    elif kind == "one huge number":
        rows[:, 7] = 1e6
    elif kind == "equal numbers":
        rows = rows[:, :1].expand(-1, 37)
    restored = there_and_back(rows, bits)
    # The scale is the largest rotated number, in 8 bits of precision; no number is larger than its row is long.
    length = rows.double().norm(dim=1)
    half_step = length * (1 + 2**-7) / (2**bits - 1)
    rounding = 40 * 2**-24 * length
    assert ((restored.double() - rows).norm(dim=1) <= half_step * 37**0.5 + rounding).all()


@pytest.mark.parametrize("bits", ALL_BITS)
def test_a_row_has_the_same_bits_alone_and_among_others(bits: int) -> None:
    rows = rows_of(67, 37).reshape(67, 1, 37).expand(-1, 3, -1) * torch.tensor([1.0, 5.0, 0.2])[:, None]
    codes = encoded(rows, bits=bits, seed=9)
    together = decoded(codes, bits=bits, seed=9, numbers=37)
    for place in (0, 31, 66):
        alone = Codes(codes.packed[place, 1], codes.scales[place, 1])
        assert torch.equal(decoded(alone, bits=bits, seed=9, numbers=37), together[place, 1])


@pytest.mark.parametrize("bits", ALL_BITS)
def test_extreme_rows_stay_finite(bits: int) -> None:
    largest = torch.finfo(torch.float32).max
    extreme = torch.stack([torch.zeros(5), torch.full((5,), largest), torch.full((5,), 1e-44), torch.full((5,), 1e30)])
    restored = there_and_back(extreme, bits)
    assert restored.isfinite().all()
    assert (restored[0] == 0).all()
    assert (restored[2].abs() <= 1e-40).all()
    # Of equal numbers the length is kept to the error of a level.
    assert restored[3].norm() == pytest.approx(float(extreme[3].norm()), rel=0.7)


def test_more_bits_have_less_error() -> None:
    rows = rows_of(200, 128)
    errors = [float((there_and_back(rows, bits) - rows).square().sum() / rows.square().sum()) for bits in ALL_BITS]
    # Each bit halves the step or nearly, and quarters the squared error at best.
    assert all(0.2 < after / before < 0.4 for before, after in pairwise(errors))
