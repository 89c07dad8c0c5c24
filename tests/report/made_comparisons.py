"""Runs of many methods and seeds, made up for the tests of comparisons."""

import random
from typing import Any

from made_records import make_record

from essential.records import Record

Run = tuple[str, Record]
BUDGET = 400_000
# Name, final accuracy, spread over seeds, kept bytes. Many keep to the budget, and so lie on one line of the figure.
METHODS: tuple[tuple[str, float, float, int | None], ...] = (
    ("essential", 0.842, 0.006, 398_000),
    ("joint", 0.965, 0.003, None),
    ("finetune", 0.167, 0.002, 0),
    ("replay-dense", 0.815, 0.012, 399_000),
    ("replay-sparse", 0.801, 0.01, 399_500),
    ("icarl", 0.808, 0.009, 399_800),
    ("icarl:method.policy=herding", 0.81, 0.02, 399_900),
    ("bic", 0.79, 0.015, 396_000),
    ("wa", 0.82, 0.008, 399_000),
    ("podnet", 0.772, 0.02, 380_000),
    ("lucir", 0.785, 0.011, 399_100),
    ("der", 0.83, 0.01, 900_000),
    ("der-plus-plus", 0.825, 0.007, 398_800),
    ("er-ace", 0.818, 0.006, 399_300),
    ("gdumb", 0.74, 0.018, 399_990),
    ("ewc", 0.21, 0.01, 5_600_000),
    ("mas", 0.205, 0.012, 5_600_000),
    ("lwf", 0.31, 0.02, 2_800_000),
    ("slda", 0.78, 0.0, 82_000),
    ("slda-temporal", 0.81, 0.004, 160_000),
    ("ncm", 0.70, 0.0, 12_288),
)


def made_metrics(accuracy: float, **others: float | None) -> dict[str, Any]:
    """Metrics that follow from the final accuracy."""
    rest = {
        "average_incremental_accuracy": min(1.0, accuracy + 0.05),
        "forgetting_from_best": (1 - accuracy) / 2,
        "backward_forgetting": (1 - accuracy) / 3,
    }
    return {"final_accuracy": accuracy, **rest, **others}


def kept_bytes(budgeted: int, modules: int = 0) -> dict[str, int]:
    """Memory that keeps `budgeted` bytes beside its MR modules."""
    return {"episodic": budgeted, "semantic": 0, "retrieval_modules": modules, "total": budgeted + modules}


def made_run(
    name: str,
    seed: int,
    accuracy: float,
    *,
    kept: int | None = 1000,
    modules: int = 0,
    tasks: int = 3,
    budget: int | None = None,
    **fields: Any,
) -> Run:
    """A run that keeps `kept` bytes after every task; None: it was given all videos. Its settings have the budget."""
    memory = kept_bytes(kept or 0, modules)
    content = {
        "metrics": made_metrics(accuracy),
        "memory_bytes": memory,
        "memory_bytes_by_task": [memory] * tasks,
        "trainable_parameters": 123_456,
        "config": {"seed": seed, "epochs": 3, "video": {"frames": 8}, "features": {"mode": "stored"}},
        **fields,
    }
    record = make_record(method=name, seed=seed, tasks=tasks, **content)
    settings = {**record.method.config, "needs_all_tasks": kept is None, "budget_bytes": budget}
    return name, record.model_copy(update={"method": record.method.model_copy(update={"config": settings})})


def many_runs(seeds: int = 3) -> list[Run]:
    """All of `METHODS`, each with some seeds."""
    draw = random.Random(5)
    return [
        made_run(
            name,
            seed,
            round(accuracy + draw.gauss(0, spread), 4),
            kept=kept,
            modules=1_200_000 if name == "essential" else 0,
            seconds={"extract": 0.3, "train": draw.uniform(5, 60), "evaluate": draw.uniform(0.2, 0.9)},
        )
        for name, accuracy, spread, kept in METHODS
        for seed in range(seeds)
    ]
