"""Numbers from stored predictions: pure functions, unrounded fractions, named by their definition."""

from essential.metrics.evaluations import (
    AccuracyMatrix,
    Evaluation,
    accuracy_matrix,
    accuracy_on_seen,
    class_accuracy,
    seen_accuracy_by_task,
)
from essential.metrics.registry import (
    METRICS,
    SECOND_NAMES,
    Metric,
    Scores,
    backward_forgetting,
    backward_forgetting_by_task,
    forgetting_from_best,
    forgetting_from_best_by_task,
    forward_transfer,
    rounding,
    tcd_forgetting,
    vclimb_accuracy,
    vclimb_accuracy_unweighted,
    vclimb_bwf,
)

__all__ = [
    "METRICS",
    "SECOND_NAMES",
    "AccuracyMatrix",
    "Evaluation",
    "Metric",
    "Scores",
    "accuracy_matrix",
    "accuracy_on_seen",
    "backward_forgetting",
    "backward_forgetting_by_task",
    "class_accuracy",
    "forgetting_from_best",
    "forgetting_from_best_by_task",
    "forward_transfer",
    "rounding",
    "seen_accuracy_by_task",
    "tcd_forgetting",
    "vclimb_accuracy",
    "vclimb_accuracy_unweighted",
    "vclimb_bwf",
]
