"""The metrics of one run by name, each with its definition and where it comes from."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from essential.metrics.accuracy import (
    accuracy_matrix,
    average_incremental_accuracy,
    final_accuracy,
    seen_accuracy_by_task,
    weighted_mean,
)
from essential.metrics.evaluation import AccuracyMatrix, Evaluation
from essential.metrics.forgetting import backward_forgetting, forgetting_from_best, tcd_forgetting
from essential.metrics.vclimb import vclimb_accuracy, vclimb_accuracy_unweighted, vclimb_bwf


@dataclass(frozen=True)
class Metric:
    """One number of a run.

    Attributes:
        compute: from one evaluation per task learned, and each task's number of classes, to a fraction or a difference
            of fractions; None where it is not defined.
        definition: in one line.
        source: the paper or code that defines it so.
        reading: which scores the evaluations must be of (`cnn`, `nme`); None: those that the method decides by.
    """

    compute: Callable[[Sequence[Evaluation], Sequence[int]], float | None]
    definition: str
    source: str
    reading: str | None = None


_BACKWARD = Metric(
    lambda run, _: backward_forgetting(accuracy_matrix(run)),
    "plain mean, over the old tasks, of the accuracy just after learning minus the accuracy at the end",
    "BWF of vCLIMB (CVPR 2022) by its formula; also called forgetting from first",
)

METRICS: Mapping[str, Metric] = {
    "final_accuracy": Metric(
        lambda run, _: final_accuracy(run),
        "accuracy over all test videos of all classes, after the last task",
        "TCD (ICCV 2021), its last stage",
    ),
    "average_incremental_accuracy": Metric(
        lambda run, _: average_incremental_accuracy(run),
        "accuracy over all test videos of the classes seen so far, plain mean over the tasks, the first included",
        "TCD (ICCV 2021)",
    ),
    "average_incremental_accuracy_cnn": Metric(
        lambda run, _: average_incremental_accuracy(run),
        "the same, by the trained head",
        "CNN of TCD (ICCV 2021)",
        reading="cnn",
    ),
    "average_incremental_accuracy_nme": Metric(
        lambda run, _: average_incremental_accuracy(run),
        "the same, by the nearest mean of exemplars",
        "NME of TCD (ICCV 2021), the rule of iCaRL (CVPR 2017)",
        reading="nme",
    ),
    "vclimb_accuracy": Metric(
        lambda run, class_counts: vclimb_accuracy(accuracy_matrix(run), class_counts),
        "mean of the tasks' accuracies after the last task, weighted by their numbers of classes",
        "Acc of vCLIMB (CVPR 2022) by its code",
    ),
    "vclimb_accuracy_unweighted": Metric(
        lambda run, _: vclimb_accuracy_unweighted(accuracy_matrix(run)),
        "plain mean of the tasks' accuracies after the last task",
        "Acc of vCLIMB (CVPR 2022) by its formula",
    ),
    "vclimb_bwf": Metric(
        lambda run, class_counts: vclimb_bwf(accuracy_matrix(run), class_counts),
        "backward forgetting, the old tasks weighted by their numbers of classes",
        "BWF of vCLIMB (CVPR 2022) by its code",
    ),
    "forgetting_from_best": Metric(
        lambda run, _: forgetting_from_best(accuracy_matrix(run)),
        "plain mean, over the old tasks, of the best accuracy ever reached minus the accuracy at the end",
        "the ESSENTIAL authors' code (ICCV 2025)",
    ),
    "backward_forgetting": _BACKWARD,
    "forgetting_from_first": _BACKWARD,
    "tcd_forgetting": Metric(
        lambda run, class_counts: tcd_forgetting(accuracy_matrix(run), _test_videos(run[-1], len(class_counts))),
        "how far the accuracy over all old test videos falls in one task, plain mean over the tasks after the first",
        "forgetting of TCD (ICCV 2021) by its code",
    ),
}

SECOND_NAMES = frozenset({"forgetting_from_first"})
"""Names of `METRICS` for what another name gives too; a record has the other alone."""


def metrics_of_matrix(
    matrix: AccuracyMatrix, test_videos: Sequence[int], class_counts: Sequence[int]
) -> dict[str, float | None]:
    """Return every metric of the scores that a method decides by, from what a record has of them.

    The same numbers as `METRICS` give, but for `rounding`.

    Args:
        matrix: see `accuracy_matrix`; it may have columns for tasks not learned yet.
        test_videos: of each task learned.
        class_counts: of each task learned.
    """
    seen = seen_accuracy_by_task(matrix, test_videos)
    learned = [row[: len(matrix)] for row in matrix]
    return {
        "final_accuracy": seen[-1],
        "average_incremental_accuracy": weighted_mean(seen, [1] * len(seen)),
        "vclimb_accuracy": vclimb_accuracy(learned, class_counts),
        "vclimb_accuracy_unweighted": vclimb_accuracy_unweighted(learned),
        "vclimb_bwf": vclimb_bwf(learned, class_counts),
        "forgetting_from_best": forgetting_from_best(learned),
        "backward_forgetting": backward_forgetting(learned),
        "tcd_forgetting": tcd_forgetting(learned, test_videos),
    }


def rounding(tasks: int) -> float:
    """Return how far two float64 computations of a metric over so many tasks can be apart.

    With u = 2**-53, half of epsilon, a weighted mean of n numbers in [-1, 1] is wrong by (n + 1) u at most, in whatever
    order they are added, beside what the numbers are wrong by. A metric is at most a mean of means of differences of
    fractions, and so wrong by 2 (n + 1) u + 4 u at most; two are apart by 4 (n + 3) u.
    """
    return 2 * (tasks + 3) * sys.float_info.epsilon


def _test_videos(evaluation: Evaluation, tasks: int) -> list[int]:
    return [int((evaluation.tasks == task).sum()) for task in range(tasks)]
