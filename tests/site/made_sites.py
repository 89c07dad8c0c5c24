"""Records as the site finds them, made up for its tests, and a folder of runs."""

import hashlib
from pathlib import Path
from typing import Any

from essential.site.finding import FoundRecord
from report.made_records import followed_metrics, make_record

PUBLISHED = "tcd-ucf101-10x5"
HOSTILE = "\"><script>alert('x')</script>"


def made_metrics(final: float | None) -> dict[str, Any]:
    """Metrics of a final accuracy."""
    rest = {"average_incremental_accuracy": 0.9, "forgetting_from_best": 0.1, "backward_forgetting": 0.05}
    return {"final_accuracy": final, **rest}


def made_found(
    method: str = "icarl",
    seed: int = 0,
    final: float | None = 0.5,
    *,
    protocol_name: str = PUBLISHED,
    settings: dict[str, Any] | None = None,
    asked_for: str | None = None,
    label: str = "run",
    **fields: Any,
) -> FoundRecord:
    """One record; `fields` replace its fields."""
    made = {
        "metrics": made_metrics(final),
        "config": {"seed": seed, "training": {"epochs": 3}, "video": {"frames": 8}},
        **fields,
    }
    record = make_record(method=method, seed=seed, protocol_name=protocol_name, **made)
    if settings is not None or asked_for:
        changes = {"asked_for": asked_for, "config": record.method.config if settings is None else settings}
        record = record.model_copy(update={"method": record.method.model_copy(update=changes)})
    content = record.model_dump_json().encode()
    return FoundRecord(label, record, content, hashlib.sha256(content).hexdigest())


def other_protocol(protocol_id: str, *, classes: tuple[tuple[str, ...], ...], name: str = PUBLISHED) -> dict[str, Any]:
    """The field `protocol` of a record, with tasks of these classes."""
    tasks = [{"classes": list(group), "train_videos": 40, "test_videos": 20} for group in classes]
    return {"name": name, "id": protocol_id, "tasks": tasks}


def published_protocol(protocol_id: str = "0123456789abcdef") -> dict[str, Any]:
    """The field `protocol` of a record, with as many tasks and classes as the published one has."""
    sizes = (51, *[10] * 5)
    classes = tuple(tuple(f"class {task}-{number}" for number in range(size)) for task, size in enumerate(sizes))
    return other_protocol(protocol_id, classes=classes)


def skipped_test(*names: str) -> list[dict[str, str]]:
    """The field `skipped_videos` of a record."""
    return [{"video": name, "split": "test", "reason": "broken"} for name in names]


def many_found() -> list[FoundRecord]:
    """Several methods and seeds on two protocols, with everything that a board must tell apart."""
    runs = [
        made_found(method, seed, final + seed / 100, label=f"runs/{method}-{seed}")
        for method, final in (("essential", 0.8), ("icarl", 0.7), ("finetune", 0.1), (HOSTILE, 0.6))
        for seed in range(2)
    ]
    runs.append(made_found("joint", 0, 0.95, settings={"needs_all_tasks": True}))
    runs.append(made_found("icarl", 0, 0.75, settings={"stored_frames": 8}))
    order = other_protocol("feedfeedfeedfeed", classes=tuple((f"class {i}b", f"class {i}a") for i in range(3)))
    runs += [
        made_found("icarl", 0, 0.9, protocol=order),
        made_found("own", 0, 0.5, protocol_name=HOSTILE, data={"kind": "o"}),
    ]
    return runs


def write_runs(folder: Path, found: list[FoundRecord]) -> Path:
    """Write each record, with metrics that follow from its accuracies, as a run's folder; return the folder of all."""
    for number, each in enumerate(found):
        followed_metrics(each.record).write(folder / f"run-{number}" / "record.json")
    return folder
