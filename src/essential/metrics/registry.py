"""The metrics of one run by name, each with its definition and where it comes from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from essential.metrics.accuracy import accuracy_matrix, average_incremental_accuracy, final_accuracy
from essential.metrics.evaluation import Evaluation
from essential.metrics.forgetting import backward_forgetting, forgetting_from_best, tcd_forgetting
from essential.metrics.vclimb import vclimb_accuracy, vclimb_accuracy_unweighted, vclimb_bwf


@dataclass(frozen=True)
class Metric:
    """One number of a run.

    Attributes:
        title: of a column of a table.
        compute: from one evaluation per task learned, and each task's number of classes, to a fraction or a difference
            of fractions; None where it is not defined.
        definition: in one line.
        source: the paper or code that defines it so.
        reading: which scores the evaluations must be of (`cnn`, `nme`); None: those that the method decides by.
        less_is_better: whether it is a loss, in points, and no accuracy in percent.
    """

    title: str
    compute: Callable[[Sequence[Evaluation], Sequence[int]], float | None]
    definition: str
    source: str
    reading: str | None = None
    less_is_better: bool = False


_BACKWARD = Metric(
    "Backward forgetting",
    lambda run, _: backward_forgetting(accuracy_matrix(run)),
    "plain mean, over the old tasks, of the accuracy just after learning minus the accuracy at the end",
    "BWF of vCLIMB (CVPR 2022) by its formula; also called forgetting from first",
    less_is_better=True,
)

METRICS: Mapping[str, Metric] = {
    "final_accuracy": Metric(
        "Final",
        lambda run, _: final_accuracy(run),
        "accuracy over all test videos of all classes, after the last task",
        "TCD (ICCV 2021), its last stage",
    ),
    "average_incremental_accuracy": Metric(
        "Average incremental",
        lambda run, _: average_incremental_accuracy(run),
        "accuracy over all test videos of the classes seen so far, plain mean over the tasks, the first included",
        "TCD (ICCV 2021)",
    ),
    "average_incremental_accuracy_cnn": Metric(
        "Average incremental, head (CNN)",
        lambda run, _: average_incremental_accuracy(run),
        "the same, by the trained head",
        "CNN of TCD (ICCV 2021)",
        reading="cnn",
    ),
    "average_incremental_accuracy_nme": Metric(
        "Average incremental, nearest means (NME)",
        lambda run, _: average_incremental_accuracy(run),
        "the same, by the nearest mean of exemplars",
        "NME of TCD (ICCV 2021), the rule of iCaRL (CVPR 2017)",
        reading="nme",
    ),
    "vclimb_accuracy": Metric(
        "vCLIMB Acc",
        lambda run, class_counts: vclimb_accuracy(accuracy_matrix(run), class_counts),
        "mean of the tasks' accuracies after the last task, weighted by their numbers of classes",
        "Acc of vCLIMB (CVPR 2022) by its code",
    ),
    "vclimb_accuracy_unweighted": Metric(
        "vCLIMB Acc, unweighted",
        lambda run, _: vclimb_accuracy_unweighted(accuracy_matrix(run)),
        "plain mean of the tasks' accuracies after the last task",
        "Acc of vCLIMB (CVPR 2022) by its formula",
    ),
    "vclimb_bwf": Metric(
        "vCLIMB BWF",
        lambda run, class_counts: vclimb_bwf(accuracy_matrix(run), class_counts),
        "backward forgetting, the old tasks weighted by their numbers of classes",
        "BWF of vCLIMB (CVPR 2022) by its code",
        less_is_better=True,
    ),
    "forgetting_from_best": Metric(
        "Forgetting from best",
        lambda run, _: forgetting_from_best(accuracy_matrix(run)),
        "plain mean, over the old tasks, of the best accuracy ever reached minus the accuracy at the end",
        "the ESSENTIAL authors' code (ICCV 2025)",
        less_is_better=True,
    ),
    "backward_forgetting": _BACKWARD,
    "forgetting_from_first": _BACKWARD,
    "tcd_forgetting": Metric(
        "TCD forgetting",
        lambda run, class_counts: tcd_forgetting(
            accuracy_matrix(run), np.bincount(run[-1].tasks, minlength=len(class_counts)).tolist()
        ),
        "how far the accuracy over all old test videos falls in one task, plain mean over the tasks after the first",
        "forgetting of TCD (ICCV 2021) by its code",
        less_is_better=True,
    ),
}
