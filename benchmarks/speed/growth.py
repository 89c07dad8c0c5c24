"""What each more task costs: 100 tasks of 10 classes, learned by the real command's engine from stored features.

A made-up stream of 1,000 classes, 8 training and 2 test clips each, D = 256. ESSENTIAL rehearses on a fixed budget of
1,000 exemplars, so a task should cost the same however many came before: what may grow is the head (a row per class),
the test (all clips of the classes seen) and the MR modules (one per task, written once). Measured are whole tasks, from
the first batch to the saved state. `benchmarks/plot_growth.py` draws them.
"""

import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from measuring import Result, main

from essential.config import load_config
from essential.engine.run import train
from essential.features.imported import import_features
from essential.records import Record

TASKS, CLASSES_PER_TASK, TRAINING, TEST, FRAMES, DIM = 100, 10, 8, 2, 8, 256
SETTINGS = (
    "protocol.tasks=100",
    "training.epochs=12",
    "training.warmup_epochs=1",
    "training.batch_size=24",
    "training.device=cpu",
    "method.rehearsal_epochs=3",
    "method.exemplars_per_class=null",
    "method.total_exemplars=1000",
)


class Watch:
    """Notes when each task's first stage begins."""

    def __init__(self) -> None:
        self.starts: list[float] = []

    def start(self, title: str, total: int) -> None:  # noqa: ARG002
        """Note the time if a task begins."""
        if title.startswith(f"task {len(self.starts) + 1} of "):
            self.starts.append(time.perf_counter())

    def advance(self, done: int, note: str = "", *, total: int | None = None) -> None:
        """Say nothing."""

    def finish(self) -> None:
        """Say nothing."""


def make_features(folder: Path) -> Path:
    """Write the stream as features brought along: a centre for each class, and noise."""
    draw = np.random.default_rng(0)
    classes, each = TASKS * CLASSES_PER_TASK, TRAINING + TEST
    labels = np.repeat(np.arange(classes), each)
    centres = draw.standard_normal((classes, 1, DIM), np.float32)
    np.save(folder / "features.npy", centres[labels] + draw.standard_normal((len(labels), FRAMES, DIM), np.float32))
    splits = ["train" if row % each < TRAINING else "test" for row in range(len(labels))]
    rows = [f"{row},class {label:04d},{split}" for row, (label, split) in enumerate(zip(labels, splits, strict=True))]
    (folder / "labels.csv").write_text("\n".join(["index,label,split", *rows]))
    import_features(folder / "features.npy", folder / "labels.csv", folder / "store", progress=lambda *_: None)
    return folder / "store"


def learn(folder: Path) -> tuple[list[float], Record]:
    """Train on the stream; return the seconds of every task, and the record."""
    store, watch = make_features(folder), Watch()
    config = load_config("own/essential", ["data.kind=features", f"data.path={store}", *SETTINGS])
    record = train(config, folder / "run", resume=False, progress=watch)
    ends = [*watch.starts[1:], time.perf_counter()]
    return [end - start for start, end in zip(watch.starts, ends, strict=True)], record


def measure() -> Sequence[Result]:
    """Learn the stream, and compare its ends."""
    with tempfile.TemporaryDirectory() as temporary:
        seconds, record = learn(Path(temporary))
    # One task alone is at the mercy of whatever else the machine does: three in a row on either side.
    early, late = statistics.median(seconds[3:6]), statistics.median(seconds[-3:])
    detail: dict[str, float | str] = {}
    for task in (5, 10, 20, 50, 100):
        carried = record.memory_bytes_by_task[task - 1]
        detail[f"task {task}, seconds"] = statistics.median(seconds[max(0, task - 3) : task])
        detail[f"task {task}, MiB carried: budgeted / MR modules"] = (
            f"{carried.budgeted / 2**20:.1f} / {carried.retrieval_modules / 2**20:.1f}"
        )
    return [Result("100 tasks of 10 classes: last task's seconds / the fifth's", late / early, "<=", 1.3, None, detail)]


if __name__ == "__main__":
    main(measure, __doc__ or "")
