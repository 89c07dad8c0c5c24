"""What a metric is computed from: one prediction per test video."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
AccuracyMatrix = Sequence[Sequence[float | None]]
"""Fractions; row = after learning a task, column = on a task's test videos, None = not yet learned or no video."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The predictions made after one task, on the test videos of every class seen so far.

    All three are flat integer arrays of one length; that is checked here, in every run, not only in tests.

    Attributes:
        predicted: the slot predicted for each video.
        slots: each video's true slot.
        tasks: the index of the task that brought each video's class, counted from 0.

    Raises:
        ValueError: the arrays differ in length, are not flat, or hold anything but integers.
    """

    predicted: Array
    slots: Array
    tasks: Array

    def __post_init__(self) -> None:
        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        shapes = {name: array.shape for name, array in arrays.items()}
        if len(set(shapes.values())) != 1 or self.slots.ndim != 1:
            raise ValueError(f"the arrays of an Evaluation have the shapes {shapes}; give flat arrays of one length")
        for name, array in arrays.items():
            if not np.issubdtype(array.dtype, np.integer):
                raise ValueError(f"Evaluation.{name} holds {array.dtype}; give integers")

    def __len__(self) -> int:
        return len(self.slots)
