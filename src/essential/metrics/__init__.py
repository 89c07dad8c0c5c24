"""The metrics of one run: functions of its accuracies, and their names, definitions and sources.

The functions take the matrix of `accuracy_matrix`, and leave out a task without a test video, with its weight. The last
task is never old. Forgetting is positive where something was lost, and None with one task.
"""

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from essential.metrics.evaluations import (
    AccuracyMatrix,
    Evaluation,
    accuracy_by_task,
    accuracy_matrix,
    accuracy_on_seen,
    class_accuracy,
    plain_mean,
    seen_accuracy_by_task,
    weighted_mean,
)
from essential.registry import Registry
from essential.shown import quoted

__all__ = [
    "METRICS",
    "AccuracyMatrix",
    "Evaluation",
    "Metric",
    "Scores",
    "accuracy_by_task",
    "accuracy_matrix",
    "accuracy_on_seen",
    "backward_forgetting_by_task",
    "class_accuracy",
    "forward_transfer",
    "name_fault",
    "rounding",
    "seen_accuracy_by_task",
    "tcd_forgetting",
]


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


def backward_forgetting_by_task(matrix: AccuracyMatrix) -> list[float | None]:
    """Return the accuracy just after learning minus now, of each old task; None without a test video.

    Source: BWF of vCLIMB (Villa et al., CVPR 2022) by its formula, mean_j (R[j][j] - R[N][j]); its code weighs.
    """
    return [history[0] - history[-1] if history else None for history in _histories(matrix)]


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
            ValueError: see `accuracy_matrix`; or there are not as many numbers of classes as tasks learned.
        """
        matrix = accuracy_matrix(evaluations)
        if len(class_counts) != len(matrix):
            raise ValueError(
                f"there are {len(class_counts)} numbers of classes for {len(matrix)} tasks learned; give one per task"
            )
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
    # The paper and the website have no weights.
    lambda run: weighted_mean(run.matrix[-1], run.class_counts),
    "mean of the tasks' accuracies after the last task, weighted by their numbers of classes",
    "Acc of vCLIMB (CVPR 2022) by its code",
)
VCLIMB_ACCURACY_UNWEIGHTED = Metric(
    "vCLIMB Acc, unweighted",
    lambda run: plain_mean(run.matrix[-1]),
    "plain mean of the tasks' accuracies after the last task",
    "Acc of vCLIMB (CVPR 2022) by its formula",
)
VCLIMB_BWF = Metric(
    "vCLIMB BWF",
    lambda run: weighted_mean(backward_forgetting_by_task(run.matrix), run.class_counts[:-1]),
    "backward forgetting, the old tasks weighted by their numbers of classes",
    "BWF of vCLIMB (CVPR 2022) by its code",
    less_is_better=True,
)
FORGETTING_FROM_BEST = Metric(
    "Forgetting from best",
    # "The end" is a candidate for the best, so it is never negative; Chaudhry et al., ECCV 2018, leave it out.
    lambda run: plain_mean([max(history) - history[-1] for history in _histories(run.matrix) if history]),
    "plain mean, over the old tasks, of the best accuracy ever reached minus the accuracy at the end",
    "the ESSENTIAL authors' code (ICCV 2025)",
    less_is_better=True,
)
BACKWARD_FORGETTING = Metric(
    "Backward forgetting",
    lambda run: plain_mean(backward_forgetting_by_task(run.matrix)),
    "plain mean, over the old tasks, of the accuracy just after learning minus the accuracy at the end",
    "BWF of vCLIMB (CVPR 2022) by its formula; also called forgetting from first",
    less_is_better=True,
)
TCD_FORGETTING = Metric(
    "TCD forgetting",
    lambda run: tcd_forgetting(run.matrix, run.test_videos),
    "how far the accuracy over all old test videos falls in one task, plain mean over the tasks after the first",
    "forgetting of TCD (ICCV 2021) by its code",
    less_is_better=True,
)


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")


def name_fault(name: str) -> str | None:
    """Return why a record cannot hold another metric of this name; None: it can."""
    if _NAME.fullmatch(name):
        return None
    return f"{quoted(name)} is no name of a metric; use letters, digits and _.-, 80 at most"


_KINDS: dict[str, Any] = {
    "title": str,
    "compute": Callable,
    "definition": str,
    "source": str,
    "reading": str | None,
    "less_is_better": bool,
}


def _fault(name: str, plugin: Any) -> str | None:
    if not isinstance(plugin, Metric):
        return "it is no essential.metrics.Metric"
    wrong = next((field for field, kind in _KINDS.items() if not isinstance(getattr(plugin, field), kind)), None)
    return name_fault(name) if wrong is None else f"its {wrong} is {quoted(getattr(plugin, wrong))}; see `Metric`"


_CONSTANTS = [name for name, value in globals().items() if isinstance(value, Metric)]
METRICS: Registry[Metric] = Registry(
    "essential.metrics", {name.lower(): f"{__name__}:{name}" for name in _CONSTANTS}, fault=_fault
)


def rounding(tasks: int) -> float:
    """Return how far two float64 computations of a metric over so many tasks can be apart.

    With u = 2**-53, a weighted mean of n numbers in [-1, 1] is wrong by (n + 1) u at most, beside what the numbers are
    wrong by. A metric is at most a mean of means of differences of fractions, and so wrong by 2 (n + 1) u + 4 u at
    most; two are apart by 4 (n + 3) u.
    """
    return 2 * (tasks + 3) * sys.float_info.epsilon
