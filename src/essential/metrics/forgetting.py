"""How much of the old tasks is lost, and what they do for later ones. Fractions, or differences in [-1, 1].

All take the matrix of `accuracy_matrix`, and leave out a task without a test video, with its weight. The last task is
never old. Forgetting is positive where something was lost, and None with one task.
"""

from collections.abc import Sequence

from essential.metrics.evaluations import AccuracyMatrix, plain_mean, weighted_mean


def forgetting_from_best(matrix: AccuracyMatrix) -> float | None:
    """Return the plain mean, over the old tasks, of the best accuracy ever reached minus the accuracy now.

    Source: the ESSENTIAL authors' evaluation code. "Now" is a candidate for the best, so the value is never negative;
    Chaudhry et al., ECCV 2018, leave it out.
    """
    return plain_mean(forgetting_from_best_by_task(matrix))


def backward_forgetting(matrix: AccuracyMatrix) -> float | None:
    """Return the plain mean, over the old tasks, of the accuracy just after learning minus now: forgetting from first.

    Source: BWF of vCLIMB (Villa et al., CVPR 2022) by its formula, mean_j (R[j][j] - R[N][j]). Negative if old tasks
    got better. vCLIMB's code weights the tasks by their numbers of classes (`vclimb_bwf`).
    """
    return plain_mean(backward_forgetting_by_task(matrix))


def tcd_forgetting(matrix: AccuracyMatrix, test_videos: Sequence[int]) -> float | None:
    """Return TCD's forgetting: the plain mean, over the steps from task i to i + 1, of the accuracy lost in the step.

    It is over all test videos of tasks 0 to i, each counted once; `test_videos` has the number of each task. A rate: a
    run of twice as many tasks that forgets as much in all has half of it.

    Source: the evaluation code of TCD (Park et al., ICCV 2021).
    """
    drops = []
    for step in range(len(matrix) - 1):
        pairs = zip(matrix[step], matrix[step + 1], strict=False)
        fallen = [None if before is None or after is None else before - after for before, after in pairs]
        drops.append(weighted_mean(fallen, test_videos))
    return plain_mean(drops)


def forgetting_from_best_by_task(matrix: AccuracyMatrix) -> list[float | None]:
    """Return the terms of `forgetting_from_best`, one per old task; None for a task without a test video."""
    return [max(history) - history[-1] if history else None for history in _histories(matrix)]


def backward_forgetting_by_task(matrix: AccuracyMatrix) -> list[float | None]:
    """Return the terms of `backward_forgetting`, one per old task; None for a task without a test video."""
    return [history[0] - history[-1] if history else None for history in _histories(matrix)]


def vclimb_accuracy(matrix: AccuracyMatrix, class_counts: Sequence[int]) -> float | None:
    """Return Acc after the last task, sum_j c_j R[N][j] / sum_j c_j over the tasks learned; c_j are numbers of classes.

    Source: vCLIMB's evaluation code, which averages the tasks' accuracies by `num_classes`; its paper and website give
    formulas without weights. None if there is no test video.

    Raises:
        ValueError: there are not as many numbers of classes as tasks learned.
    """
    _check_counts(matrix, class_counts)
    return weighted_mean(matrix[-1], class_counts)


def vclimb_accuracy_unweighted(matrix: AccuracyMatrix) -> float | None:
    """Return Acc by its formula: the plain mean of R[N][j] over the tasks learned.

    Source: vCLIMB, section on metrics; the ESSENTIAL authors' code prints this one. None if there is no test video.
    """
    return plain_mean(matrix[-1])


def vclimb_bwf(matrix: AccuracyMatrix, class_counts: Sequence[int]) -> float | None:
    """Return BWF, sum_j c_j (R[j][j] - R[N][j]) / sum_j c_j over the old tasks.

    Source: vCLIMB's evaluation code; `backward_forgetting` is its formula, without weights.

    Raises:
        ValueError: there are not as many numbers of classes as tasks learned.
    """
    _check_counts(matrix, class_counts)
    return weighted_mean(backward_forgetting_by_task(matrix), class_counts[:-1])


def forward_transfer(matrix: AccuracyMatrix, reference: AccuracyMatrix) -> float | None:
    """Return the mean, over the tasks after the first, of R[j][j] - Ref[j][j]: positive = the earlier tasks helped.

    Source: FWT of Wang et al., A Comprehensive Survey of Continual Learning, TPAMI 2024: the reference learns task j
    from a fresh start. With a joint run as the reference its negative is the intransigence of Chaudhry et al., ECCV
    2018. It is not GEM's FWT (Lopez-Paz and Ranzato, NeurIPS 2017), which needs accuracies on tasks not yet learned.

    Of `reference` the diagonal alone is read. It must choose among the same classes, those of earlier tasks included.

    Raises:
        ValueError: the reference has fewer tasks than the run.
    """
    if len(reference) < len(matrix):
        raise ValueError(
            f"the reference has {len(reference)} tasks, the run {len(matrix)}; give a reference for every task"
        )
    pairs = [(matrix[task][task], reference[task][task]) for task in range(1, len(matrix))]
    return plain_mean([None if own is None or other is None else own - other for own, other in pairs])


def _histories(matrix: AccuracyMatrix) -> list[list[float]]:
    """The accuracies on each old task, from just after it was learned until now."""
    columns = ([row[task] for row in matrix[task:]] for task in range(len(matrix) - 1))
    return [[accuracy for accuracy in column if accuracy is not None] for column in columns]


def _check_counts(matrix: AccuracyMatrix, class_counts: Sequence[int]) -> None:
    if len(class_counts) != len(matrix):
        raise ValueError(
            f"there are {len(class_counts)} numbers of classes for {len(matrix)} tasks learned; give one per task"
        )
