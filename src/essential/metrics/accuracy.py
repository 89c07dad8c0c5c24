"""Accuracies of a class-incremental run. All are fractions in [0, 1]."""

from collections.abc import Sequence

import numpy as np

from essential.metrics.evaluation import AccuracyMatrix, Evaluation


def accuracy_matrix(evaluations: Sequence[Evaluation]) -> list[list[float | None]]:
    """Return R, where R[i][j] is the accuracy after task i on the test videos of task j.

    Args:
        evaluations: one per task learned, in order.

    Returns:
        A square matrix; None where j > i, and where task j has no test video.

    Raises:
        ValueError: an evaluation holds a video of a task that was not learned yet.
    """
    _check_order(evaluations)
    count = len(evaluations)
    return [
        [_fraction_right(evaluation, evaluation.tasks == task) for task in range(count)] for evaluation in evaluations
    ]


def accuracy_on_seen(evaluation: Evaluation) -> float | None:
    """Return the accuracy over all test videos of all classes seen, each video counted once (TCD, ICCV 2021).

    It equals the mean of the tasks' accuracies weighted by their numbers of videos. None if there is no test video.
    """
    return _fraction_right(evaluation, np.ones(len(evaluation), dtype=np.bool_))


def class_accuracy(evaluation: Evaluation, classes: int) -> list[float | None]:
    """Return the accuracy on the test videos of each of the first `classes` slots; None for a class without any."""
    videos = np.bincount(evaluation.slots, minlength=classes)
    right = np.bincount(evaluation.slots[evaluation.predicted == evaluation.slots], minlength=classes)
    return [int(right[slot]) / int(videos[slot]) if videos[slot] else None for slot in range(classes)]


def seen_accuracy_by_task(matrix: AccuracyMatrix, test_videos: Sequence[int]) -> list[float | None]:
    """Return, for each row of `matrix`, the accuracy over all test videos of the tasks in it.

    The same numbers as `accuracy_on_seen`, for when only the matrix is left.

    Args:
        matrix: see `accuracy_matrix`.
        test_videos: how many test videos of each task were evaluated, at least one entry per column.
    """
    return [weighted_mean(row, test_videos) for row in matrix]


def weighted_mean(row: Sequence[float | None], weights: Sequence[int]) -> float | None:
    """Return the mean of the known ones of `row`; None if their weights add up to nothing."""
    known = [(accuracy, weight) for accuracy, weight in zip(row, weights, strict=False) if accuracy is not None]
    total = sum(weight for _, weight in known)
    return sum(accuracy * weight for accuracy, weight in known) / total if total else None


def _fraction_right(evaluation: Evaluation, chosen: np.ndarray) -> float | None:
    count = int(np.count_nonzero(chosen))
    right = int(np.count_nonzero((evaluation.predicted == evaluation.slots) & chosen))
    return right / count if count else None


def _check_order(evaluations: Sequence[Evaluation]) -> None:
    if not evaluations:
        raise ValueError("no evaluation was given; give one per task learned")
    for index, evaluation in enumerate(evaluations):
        if len(evaluation) and not 0 <= int(evaluation.tasks.min()) <= int(evaluation.tasks.max()) <= index:
            found = [int(evaluation.tasks.min()), int(evaluation.tasks.max())]
            raise ValueError(
                f"evaluation {index} holds videos of tasks {found[0]} to {found[1]}; after task {index} only those of "
                f"tasks 0 to {index} may be in it"
            )
