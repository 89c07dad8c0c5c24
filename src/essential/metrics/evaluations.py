"""What metrics are computed from: one prediction per test video, and the accuracies of a run. All are fractions."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
AccuracyMatrix = Sequence[Sequence[float | None]]
"""Fractions; row = after learning a task, column = on a task's test videos, None = not yet learned or no video."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The predictions made after one task, on the test videos of every class seen so far: flat integer arrays.

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


def accuracy_matrix(evaluations: Sequence[Evaluation]) -> list[list[float | None]]:
    """Return R, where R[i][j] is the accuracy after task i on the test videos of task j, of one evaluation per task.

    A square matrix; None where j > i, and where task j has no test video.

    Raises:
        ValueError: an evaluation holds a video of a task that was not learned yet.
    """
    if not evaluations:
        raise ValueError("no evaluation was given; give one per task learned")
    for index, evaluation in enumerate(evaluations):
        if len(evaluation) and not 0 <= int(evaluation.tasks.min()) <= int(evaluation.tasks.max()) <= index:
            raise ValueError(
                f"evaluation {index} holds videos of tasks {evaluation.tasks.min()} to {evaluation.tasks.max()}; after "
                f"task {index} only those of tasks 0 to {index} may be in it"
            )
    count = len(evaluations)
    return [accuracy_by_task(evaluation, count) for evaluation in evaluations]


def accuracy_by_task(evaluation: Evaluation, tasks: int) -> list[float | None]:
    """Return the accuracy on the test videos of each of the first `tasks` tasks; None for a task without any."""
    return [_fraction_right(evaluation, evaluation.tasks == task) for task in range(tasks)]


def accuracy_on_seen(evaluation: Evaluation) -> float | None:
    """Return the accuracy over all test videos of all classes seen, each video counted once (TCD, ICCV 2021).

    None if there is no test video.
    """
    return _fraction_right(evaluation, np.ones(len(evaluation), dtype=np.bool_))


def class_accuracy(evaluation: Evaluation, classes: int) -> list[float | None]:
    """Return the accuracy on the test videos of each of the first `classes` slots; None for a class without any."""
    videos = np.bincount(evaluation.slots, minlength=classes)
    right = np.bincount(evaluation.slots[evaluation.predicted == evaluation.slots], minlength=classes)
    return [int(right[slot]) / int(videos[slot]) if videos[slot] else None for slot in range(classes)]


def seen_accuracy_by_task(matrix: AccuracyMatrix, test_videos: Sequence[int]) -> list[float | None]:
    """Return `accuracy_on_seen` after each task, from the matrix and the number of test videos of each task."""
    return [weighted_mean(row, test_videos) for row in matrix]


def weighted_mean(values: Sequence[float | None], weights: Sequence[int]) -> float | None:
    """Return the mean of the known values; None if their weights add up to nothing."""
    known = [(value, weight) for value, weight in zip(values, weights, strict=False) if value is not None]
    total = sum(weight for _, weight in known)
    return sum(value * weight for value, weight in known) / total if total else None


def plain_mean(values: Sequence[float | None]) -> float | None:
    """Return the mean of the known values; None if there are none."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _fraction_right(evaluation: Evaluation, chosen: Array) -> float | None:
    count = int(np.count_nonzero(chosen))
    right = int(np.count_nonzero((evaluation.predicted == evaluation.slots) & chosen))
    return right / count if count else None
