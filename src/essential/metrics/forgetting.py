"""How much of the old tasks is lost. Positive = forgotten; differences of fractions, so in [-1, 1].

All take the matrix of `accuracy_matrix`. The last task is never old. A task without a test video is left out.
"""

from collections.abc import Sequence

from essential.metrics.evaluation import AccuracyMatrix


def forgetting_from_best(matrix: AccuracyMatrix) -> float | None:
    """Return the plain mean, over the old tasks, of the best accuracy ever reached minus the accuracy now.

    Source: the ESSENTIAL authors' evaluation code. As there, "now" is one of the candidates for the best, so a
    task that never was better than now counts 0 and the value is never negative. (Chaudhry et al., ECCV 2018, leave
    "now" out of the maximum, which lets a task that still improves count below 0.)
    None with one task.
    """
    return _mean(forgetting_from_best_by_task(matrix))


def backward_forgetting(matrix: AccuracyMatrix) -> float | None:
    """Return vCLIMB's BWF: the plain mean, over the old tasks, of the accuracy just after learning minus now.

    Source: BWF of vCLIMB (Villa et al., CVPR 2022), mean_j (R[j][j] - R[N][j]). Negative if old tasks got better.
    vCLIMB's code weights the tasks by their numbers of classes (`vclimb_bwf`); its formula, followed here, does not.
    Also called forgetting from first.
    None with one task.
    """
    return _mean(backward_forgetting_by_task(matrix))


def tcd_forgetting(matrix: AccuracyMatrix, test_videos: Sequence[int]) -> float | None:
    """Return TCD's forgetting: what one task costs on the test videos of all tasks before it, averaged over such steps.

    For every step from task i to i + 1, the accuracy over all test videos of tasks 0 to i, before minus after; each
    video counts once, so the tasks are weighted by their numbers of videos. Then the plain mean over the steps. Unlike
    the others it is a rate: a run of twice as many tasks that forgets as much in all has half of it.

    Source: the evaluation code of TCD (Park et al., ICCV 2021).

    Args:
        matrix: see `accuracy_matrix`.
        test_videos: how many test videos of each task were evaluated, at least one entry per column.

    Returns:
        None with one task. A step before which there is no test video is left out.
    """
    drops = []
    for step in range(len(matrix) - 1):
        pairs = zip(matrix[step], matrix[step + 1], test_videos, strict=False)
        old = [(before - after, videos) for before, after, videos in pairs if before is not None and after is not None]
        total = sum(videos for _, videos in old)
        if total:
            drops.append(sum(drop * videos for drop, videos in old) / total)
    return _mean(drops)


def forgetting_from_best_by_task(matrix: AccuracyMatrix) -> list[float | None]:
    """Return the terms of `forgetting_from_best`, one per old task; None for a task without a test video."""
    histories = [_history(matrix, task) for task in range(len(matrix) - 1)]
    return [max(history) - history[-1] if history else None for history in histories]


def backward_forgetting_by_task(matrix: AccuracyMatrix) -> list[float | None]:
    """Return the terms of `backward_forgetting`, one per old task; None for a task without a test video."""
    histories = [_history(matrix, task) for task in range(len(matrix) - 1)]
    return [history[0] - history[-1] if history else None for history in histories]


def _history(matrix: AccuracyMatrix, task: int) -> list[float]:
    """The accuracies on `task`, from just after it was learned until now."""
    accuracies = [row[task] for row in matrix[task:]]
    return [accuracy for accuracy in accuracies if accuracy is not None]


def _mean(terms: Sequence[float | None]) -> float | None:
    known = [term for term in terms if term is not None]
    return sum(known) / len(known) if known else None
