"""How well tasks are learned, whatever is forgotten of them later."""

from essential.metrics import Metric, Scores


def _compute(run: Scores) -> float | None:
    learned = [row[task] for task, row in enumerate(run.matrix)]
    known = [accuracy for accuracy in learned if accuracy is not None]
    return sum(known) / len(known) if known else None


LEARNING_ACCURACY = Metric(
    title="Learning accuracy",
    compute=_compute,
    definition="plain mean, over the tasks, of the accuracy on a task just after it was learned",
    source="Riemer et al., Learning to Learn without Forgetting, ICLR 2019",
)
