"""From a finished run to its record: metrics of the stored predictions, the ledger, and what the run stood on."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from typing import Any

from essential import __version__
from essential.engine.run_folder import Place, RunFolder
from essential.engine.workspace import Workspace
from essential.memory.ledger import total_by_kind
from essential.methods.contract import Method
from essential.metrics import (
    Evaluation,
    accuracy_matrix,
    average_incremental_accuracy,
    backward_forgetting,
    final_accuracy,
    forgetting_from_best,
)
from essential.records import Metrics, Record

_PACKAGES = ("torch", "torchvision", "av", "numpy")


def scored(evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    """Return the record's `accuracy` and `metrics` of the evaluations made after each task."""
    matrix = accuracy_matrix(evaluations)
    metrics = Metrics(
        final_accuracy=final_accuracy(evaluations),
        average_incremental_accuracy=average_incremental_accuracy(evaluations),
        forgetting_from_best=forgetting_from_best(matrix),
        backward_forgetting=backward_forgetting(matrix),
    )
    return {"accuracy": tuple(tuple(row) for row in matrix), "metrics": metrics}


def make_record(workspace: Workspace, method: Method, folder: RunFolder, place: Place) -> Record:
    """Put the record together; it holds nothing that depends on the machine's paths or on when it was made."""
    config, protocol = workspace.config, workspace.protocol
    evaluations = [folder.read_predictions(index).evaluation() for index in range(place.task)]
    identity = config.identity()
    splits = {video.key: video.split for video in protocol.videos}
    return Record.model_validate(
        {
            "protocol": {
                "name": protocol.name,
                "id": protocol.id,
                "list_sha256": protocol.list_sha256,
                "tasks": _tasks(workspace, place.skipped, trained=not folder.imported),
            },
            "method": {
                "name": config.method.name,
                "config": {**identity["method"], "needs_all_tasks": method.needs_all_tasks},
            },
            "encoder": {"name": workspace.origin.name, "fingerprint": workspace.origin.fingerprint},
            "seed": config.seed,
            **scored(evaluations),
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
