"""Records made up for the report's tests."""

import random
from typing import Any

from essential.metrics import METRICS
from essential.records import Metrics, Record

_ALWAYS = ("final_accuracy", "average_incremental_accuracy", "forgetting_from_best", "backward_forgetting")


def _memory(task: int, *, bytes_per_task: int) -> dict[str, int]:
    episodic, semantic, modules = (share * bytes_per_task * (task + 1) for share in (2, 1, 5))
    return {
        "episodic": episodic,
        "semantic": semantic,
        "retrieval_modules": modules,
        "total": episodic + semantic + modules,
    }


def _ledger(memory: dict[str, int]) -> list[dict[str, Any]]:
    kinds = [kind for kind in memory if kind != "total" and memory[kind]]
    return [
        {"kind": kind, "name": f"all {kind}", "bytes": memory[kind], "in_paper_figure": kind != "retrieval_modules"}
        for kind in kinds
    ]


def make_record(
    *,
    tasks: int = 3,
    seed: int = 0,
    method: str = "essential",
    bytes_per_task: int = 1000,
    protocol_name: str = "made-up",
    **fields: Any,
) -> Record:
    """A plausible record, whose metrics follow from its accuracies; `fields` replace whole fields."""
    draw = random.Random(f"{method} {seed} {tasks}")
    accuracy = [[draw.uniform(0.3, 1) if j <= i else None for j in range(tasks)] for i in range(tasks)]
    memory = [_memory(task, bytes_per_task=bytes_per_task) for task in range(tasks)]
    content = {
        "protocol": {
            "name": protocol_name,
            "id": "0123456789abcdef",
            "tasks": [
                {"classes": [f"class {i}a", f"class {i}b"], "train_videos": 40, "test_videos": 20} for i in range(tasks)
            ],
        },
        "method": {"name": method, "config": {"stored_frames": 2}},
        "encoder": {"name": "tiny", "fingerprint": "fe" * 32},
        "seed": seed,
        "accuracy": accuracy,
        "metrics": dict.fromkeys(_ALWAYS),
        "memory_bytes": memory[-1],
        "exemplars": 12 * tasks,
        "skipped_videos": [],
        "seconds": {"extract": 1.0, "train": 2.5, "evaluate": 0.5},
        "versions": {"python": "3.11.7"},
        "data": {"kind": "made-up"},
        "config": {"seed": seed, "epochs": 3},
        "ledger": _ledger(memory[-1]),
        "memory_bytes_by_task": memory,
    }
    record = Record.model_validate({**content, **fields})
    return record if "metrics" in fields else followed_metrics(record)


def followed_metrics(record: Record) -> Record:
    """The record with the metrics that its accuracies give, so that it may be read again."""
    names = [name for name in Metrics.model_fields if METRICS[name].reading is None]
    metrics = {name: METRICS[name].compute(record.scores) for name in names}
    return record.model_copy(update={"metrics": Metrics.model_validate(metrics)})
