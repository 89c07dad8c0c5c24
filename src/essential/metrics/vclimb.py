"""vCLIMB's two figures (Villa et al., CVPR 2022), weighted as its code does: a task counts by its number of classes.

Its paper and website give formulas without weights. Where all tasks have the same number of classes both agree. A task
without a test video is left out, with its weight.
"""

from collections.abc import Sequence

from essential.metrics.accuracy import weighted_mean
from essential.metrics.evaluation import AccuracyMatrix
from essential.metrics.forgetting import backward_forgetting_by_task


def vclimb_accuracy(matrix: AccuracyMatrix, class_counts: Sequence[int]) -> float | None:
    """Return Acc after the last task, sum_j c_j R[N][j] / sum_j c_j over the tasks learned; c_j are numbers of classes.

    Source: vCLIMB's evaluation code, which averages the tasks' accuracies by `num_classes`. A fraction in [0, 1]; None
    if there is no test video.

    Args:
        matrix: see `accuracy_matrix`.
        class_counts: how many classes each task learned brought.

    Raises:
        ValueError: there are not as many numbers of classes as tasks learned.
    """
    _check_counts(matrix, class_counts)
    return weighted_mean(matrix[-1], class_counts)


def vclimb_accuracy_unweighted(matrix: AccuracyMatrix) -> float | None:
    """Return Acc by its formula: the plain mean of R[N][j] over the tasks learned.

    Source: vCLIMB, section on metrics; the ESSENTIAL authors' code prints this one. A fraction in [0, 1]; None if there
    is no test video.
    """
    return weighted_mean(matrix[-1], [1] * len(matrix[-1]))


def vclimb_bwf(matrix: AccuracyMatrix, class_counts: Sequence[int]) -> float | None:
    """Return BWF, sum_j c_j (R[j][j] - R[N][j]) / sum_j c_j over the old tasks: positive = forgotten.

    Source: vCLIMB's evaluation code; `backward_forgetting` is its formula, without weights. None with one task.

    Args:
        matrix: see `accuracy_matrix`.
        class_counts: how many classes each task learned brought.

    Raises:
        ValueError: there are not as many numbers of classes as tasks learned.
    """
    _check_counts(matrix, class_counts)
    return weighted_mean(backward_forgetting_by_task(matrix), class_counts[:-1])


def _check_counts(matrix: AccuracyMatrix, class_counts: Sequence[int]) -> None:
    if len(class_counts) != len(matrix):
        raise ValueError(
            f"there are {len(class_counts)} numbers of classes for {len(matrix)} tasks learned; give one per task"
        )
