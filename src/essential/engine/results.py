"""From a finished run to its record: metrics of the stored predictions, the ledger, and what the run stood on."""

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from typing import Any

from essential.engine.evaluate import Predictions
from essential.engine.process_group import ProcessGroup
from essential.engine.run_folder import Place, RunFolder
from essential.engine.workspace import Workspace
from essential.memory.ledger import total_by_kind
from essential.methods.contract import Method, TaskData
from essential.metrics import METRICS, SECOND_NAMES, Evaluation, Scores, class_accuracy
from essential.records import Metrics, Record
from essential.version import __version__

_PACKAGES = ("torch", "torchvision", "av", "numpy")


def scored(predictions: Iterable[Predictions], *, class_counts: Sequence[int]) -> dict[str, Any]:
    """Return what a record says of the predictions made after each task.

    Args:
        predictions: one per task learned, in order; asked for one after the other, and only its decisions are kept.
        class_counts: each task's number of classes.

    Returns:
        `reading`, `accuracy`, `class_accuracy` and `metrics`. A metric of a reading that the predictor does not give
        after every task is None.
    """
    readings: list[dict[str | None, Evaluation]] = []
    reading = ""
    for each in predictions:
        readings.append({name: each.evaluation(name) for name in (None, each.reading, *each.others)})
        reading = each.reading
    common = set(readings[0]).intersection(*readings)
    scores = {name: Scores.of([each[name] for each in readings], class_counts) for name in common}
    values = {
        name: metric.compute(scores[metric.reading]) if metric.reading in scores else None
        for name, metric in METRICS.items()
        if name not in SECOND_NAMES
    }
    return {
        "reading": reading,
        "accuracy": tuple(map(tuple, scores[None].matrix)),
        "class_accuracy": tuple(class_accuracy(readings[-1][None], sum(class_counts))),
        "metrics": Metrics.model_validate(values),
    }


def run_scores(predictions: Sequence[Predictions], *, class_counts: Sequence[int]) -> Scores:
    """Return what metrics are computed from, by the reading that the predictor decides by; see `scored`."""
    return Scores.of([each.evaluation() for each in predictions], class_counts)


def count_trainable_parameters(method: Method, task: TaskData) -> int:
    """Return how many parameters the stages of `task` train, each counted once; 0 for a method that trains nothing.

    No clip of the task is read.
    """
    modules = [module for stage in method.stages(task) for module in stage.trains]
    sizes = {id(parameter): parameter.numel() for module in modules for parameter in module.parameters()}
    return sum(sizes.values())


def make_record(
    workspace: Workspace, method: Method, folder: RunFolder, place: Place, *, trainable_parameters: int | None
) -> Record:
    """Put the record together; it holds nothing that depends on the machine's paths or on when it was made."""
    config, protocol = workspace.config, workspace.protocol
    predictions = (folder.read_predictions(index) for index in range(place.task))
    identity = config.identity()
    splits = {video.key: video.split for video in protocol.videos}
    return Record.model_validate(
        {
            "protocol": {
                "name": protocol.name,
                "id": protocol.id,
                "list_sha256": protocol.list_sha256,
                "passed_over": protocol.passed_over,
                "tasks": _tasks(workspace, place.skipped, trained=not folder.imported),
            },
            "method": {
                "name": config.method.name,
                "config": {**identity["method"], "needs_all_tasks": method.needs_all_tasks},
            },
            "encoder": {"name": workspace.origin.name, "fingerprint": workspace.origin.fingerprint},
            "seed": config.seed,
            **scored(predictions, class_counts=[len(task.classes) for task in protocol.tasks[: place.task]]),
            "trainable_parameters": trainable_parameters,
            "memory_bytes": total_by_kind(method.ledger()),
            "exemplars": len(method.memory),
            "skipped_videos": [
                {"video": key, "split": splits[key], "reason": reason} for key, reason in sorted(place.skipped.items())
            ],
            "seconds": place.seconds,
            "versions": versions(),
            "data": identity["data"],
            "config": identity,
            "ledger": [asdict(entry) for entry in method.ledger()],
            "memory_bytes_by_task": place.memory_bytes_by_task,
        }
    )


def record_of_all(make: Callable[[], Record], group: ProcessGroup) -> Record:
    """Return on every rank the record that rank 0 makes."""
    record = make() if group.first else None
    text = group.from_first(lambda: record and record.model_dump_json())
    return record or Record.model_validate_json(text, strict=True)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that the numbers may depend on."""
    packages = {name: metadata.version(name) for name in _PACKAGES}
    return {"essential": __version__, "python": platform.python_version(), **packages}


def _tasks(workspace: Workspace, skipped: Mapping[str, str], *, trained: bool) -> list[dict[str, Any]]:
    """Count the videos used, none of training unless `trained`; those skipped are listed in the record by name."""
    return [
        {
            "classes": task.classes,
            "train_videos": sum(video.key not in skipped for video in task.train) if trained else 0,
            "test_videos": sum(video.key not in skipped for video in task.test),
        }
        for task in workspace.protocol.tasks
    ]
