"""Numbers from stored predictions: pure functions, unrounded fractions, named by their definition."""

from essential.metrics.accuracy import (
    accuracy_matrix,
    accuracy_on_seen,
    average_incremental_accuracy,
    final_accuracy,
    seen_accuracy_by_task,
)
from essential.metrics.evaluation import AccuracyMatrix, Evaluation
from essential.metrics.forgetting import (
    backward_forgetting,
    backward_forgetting_by_task,
    forgetting_from_best,
    forgetting_from_best_by_task,
)

__all__ = [
    "AccuracyMatrix",
    "Evaluation",
    "accuracy_matrix",
    "accuracy_on_seen",
    "average_incremental_accuracy",
    "backward_forgetting",
    "backward_forgetting_by_task",
    "final_accuracy",
    "forgetting_from_best",
    "forgetting_from_best_by_task",
    "seen_accuracy_by_task",
]
