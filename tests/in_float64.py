"""Learning in float64, for tests that compare sums in another order: those of two ranks, or of a GPU and a CPU.

In float32 no bound holds. AdamW divides a gradient by its size, so where a gradient is next to nothing a step is made
of its rounding, and whatever comes after grows from there. In float64 the rounding of a gradient near 1 is 1e-16, which
AdamW's epsilon of 1e-8 keeps below 1e-8 of a step.

Run as a script, this is `essential` in float64, for ranks in processes of their own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from essential.features.tables import FrameTable


@contextmanager
def in_float64() -> Iterator[None]:
    """Build what is built meanwhile in float64, and give features as float64, as they are stored."""
    torch.set_default_dtype(torch.float64)
    try:
        with patch.object(FrameTable, "rows", _doubled(FrameTable)):
            yield
    finally:
        torch.set_default_dtype(torch.float32)


def _doubled(table: Any) -> Any:
    rows = table.rows

    def doubled(self: Any, indices: Tensor) -> Tensor:
        features: Tensor = rows(self, indices)
        return features.double()

    return doubled


if __name__ == "__main__":
    from essential.cli import main

    with in_float64():
        main()
