"""Training logs made up for the report's tests."""

from essential.records.training_log import EpochReport, EvaluationReport, TrainingLog

STAGES = ("task", "rehearsal")


def make_log(tasks: int, *, epochs: int = 10) -> TrainingLog:
    """A log of two stages a task, whose loss and learning rate fall."""
    reports = [
        EpochReport(task, stage, epoch, {"first": 2 / (1 + epoch), "second": 0.5}, 0.001 / (1 + epoch))
        for task in range(tasks)
        for stage in STAGES
        for epoch in range(epochs)
    ]
    memory = {"episodic": 600, "semantic": 0, "statistics": 0, "retrieval_modules": 400, "total": 1000}
    found = [EvaluationReport(task, 0.5, memory, (0.5,) * (task + 1)) for task in range(tasks)]
    return TrainingLog(tuple(reports), tuple(found))
