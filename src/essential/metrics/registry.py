"""The metrics of one run by name, each with its definition and where it comes from."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from essential.metrics.evaluations import AccuracyMatrix, Evaluation, accuracy_matrix, accuracy_on_seen, plain_mean
from essential.metrics.forgetting import (
    backward_forgetting,
    forgetting_from_best,
    tcd_forgetting,
    vclimb_accuracy,
    vclimb_accuracy_unweighted,
    vclimb_bwf,
)
from essential.registry import Registry


@dataclass(frozen=True)
class Scores:
    """What every metric of a run is computed from.

    Attributes:
        matrix: see `accuracy_matrix`.
        seen: the accuracy over all test videos of the classes seen, after each task.
        test_videos: of each task learned.
        class_counts: each task's number of classes.
    """

    matrix: AccuracyMatrix
    seen: Sequence[float | None]
    test_videos: Sequence[int]
    class_counts: Sequence[int]

    @classmethod
    def of(cls, evaluations: Sequence[Evaluation], class_counts: Sequence[int]) -> "Scores":
        """Return those of one evaluation per task learned.

        Raises:
            ValueError: there is no evaluation, or one holds a video of a task that was not learned yet.
        """
        matrix = accuracy_matrix(evaluations)
        videos = [int((evaluations[-1].tasks == task).sum()) for task in range(len(matrix))]
        return cls(matrix, [accuracy_on_seen(each) for each in evaluations], videos, class_counts)


@dataclass(frozen=True)
class Metric:
    """One number of a run.

    Attributes:
        title: of a column of a table.
        compute: a fraction, or a difference of fractions; None where it is not defined.
        definition: in one line.
        source: the paper or code that defines it so.
        reading: which scores it is of (`cnn`, `nme`); None: those that the method decides by.
        less_is_better: whether it is a loss, in points, and no accuracy in percent.
    """

    title: str
    compute: Callable[[Scores], float | None]
    definition: str
    source: str
    reading: str | None = None
    less_is_better: bool = False


FINAL_ACCURACY = Metric(
    "Final",
    lambda run: run.seen[-1],
    "accuracy over all test videos of all classes, after the last task",
    "TCD (ICCV 2021), its last stage",
)
AVERAGE_INCREMENTAL_ACCURACY = Metric(
    "Average incremental",
    lambda run: plain_mean(run.seen),
    "accuracy over all test videos of the classes seen so far, plain mean over the tasks, the first included",
    "TCD (ICCV 2021)",
)
AVERAGE_INCREMENTAL_ACCURACY_CNN = Metric(
    "Average incremental, head (CNN)",
    lambda run: plain_mean(run.seen),
    "the same, by the trained head",
    "CNN of TCD (ICCV 2021)",
    reading="cnn",
)
AVERAGE_INCREMENTAL_ACCURACY_NME = Metric(
    "Average incremental, nearest means (NME)",
    lambda run: plain_mean(run.seen),
    "the same, by the nearest mean of exemplars",
    "NME of TCD (ICCV 2021), the rule of iCaRL (CVPR 2017)",
    reading="nme",
)
VCLIMB_ACCURACY = Metric(
    "vCLIMB Acc",
    lambda run: vclimb_accuracy(run.matrix, run.class_counts),
    "mean of the tasks' accuracies after the last task, weighted by their numbers of classes",
    "Acc of vCLIMB (CVPR 2022) by its code",
)
VCLIMB_ACCURACY_UNWEIGHTED = Metric(
    "vCLIMB Acc, unweighted",
    lambda run: vclimb_accuracy_unweighted(run.matrix),
    "plain mean of the tasks' accuracies after the last task",
    "Acc of vCLIMB (CVPR 2022) by its formula",
)
VCLIMB_BWF = Metric(
    "vCLIMB BWF",
    lambda run: vclimb_bwf(run.matrix, run.class_counts),
    "backward forgetting, the old tasks weighted by their numbers of classes",
    "BWF of vCLIMB (CVPR 2022) by its code",
    less_is_better=True,
)
FORGETTING_FROM_BEST = Metric(
    "Forgetting from best",
    lambda run: forgetting_from_best(run.matrix),
    "plain mean, over the old tasks, of the best accuracy ever reached minus the accuracy at the end",
    "the ESSENTIAL authors' code (ICCV 2025)",
    less_is_better=True,
)
BACKWARD_FORGETTING = Metric(
    "Backward forgetting",
    lambda run: backward_forgetting(run.matrix),
    "plain mean, over the old tasks, of the accuracy just after learning minus the accuracy at the end",
    "BWF of vCLIMB (CVPR 2022) by its formula; also called forgetting from first",
    less_is_better=True,
)
FORGETTING_FROM_FIRST = BACKWARD_FORGETTING
TCD_FORGETTING = Metric(
    "TCD forgetting",
    lambda run: tcd_forgetting(run.matrix, run.test_videos),
    "how far the accuracy over all old test videos falls in one task, plain mean over the tasks after the first",
    "forgetting of TCD (ICCV 2021) by its code",
    less_is_better=True,
)


def _fault(_: str, plugin: Any) -> str | None:
    return None if isinstance(plugin, Metric) else "it is no essential.metrics.Metric"


_CONSTANTS = [name for name, value in globals().items() if isinstance(value, Metric)]
METRICS: Registry[Metric] = Registry(
    "essential.metrics", {name.lower(): f"{__name__}:{name}" for name in _CONSTANTS}, fault=_fault
)
SECOND_NAMES = frozenset({"forgetting_from_first"})
"""Names of `METRICS` for what another name gives too; a record has the other alone."""


def rounding(tasks: int) -> float:
    """Return how far two float64 computations of a metric over so many tasks can be apart.

    With u = 2**-53, a weighted mean of n numbers in [-1, 1] is wrong by (n + 1) u at most, beside what the numbers are
    wrong by. A metric is at most a mean of means of differences of fractions, and so wrong by 2 (n + 1) u + 4 u at
    most; two are apart by 4 (n + 3) u.
    """
    return 2 * (tasks + 3) * sys.float_info.epsilon
