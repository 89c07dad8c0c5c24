"""What each more task costs: 100 tasks of 10 classes, learned by the real command's engine from stored features.

A made-up stream of 1,000 classes, 20 training and 2 test clips each, with the published width and the published 30 and
20 epochs. ESSENTIAL rehearses on a fixed budget of 1,000 exemplars, full from the fifth task on, so that a task should
cost the same however many came before: what may grow is the head (a row per class), the test (all clips of the classes
seen) and the MR modules (one per task, written once, and asked once per rehearsal stage).

The stream is learned once with an epoch in every stage, since what a task costs does not depend on how well the tasks
before were learned, and the run's folder is kept as it is when some tasks begin. Those tasks are then learned in full
from there, in turns: from the first batch to the saved state. The last task but one stands for the last, which the
record follows. `benchmarks/plot_growth.py` draws more of them.
"""

import contextlib
import re
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from measuring import Result, main, ratios_in_turns

from essential.engine import run
from essential.engine.config import load_config
from essential.engine.learn_task import fit
from essential.engine.settings import RunConfig
from essential.features.imported import import_features
from essential.methods.contract import Method, Stage
from essential.progress import QUIET
from essential.records import Record

TASKS, CLASSES_PER_TASK, TRAINING, TEST, FRAMES, DIM = 100, 10, 20, 2, 8, 768
EARLY, LATE = 5, TASKS - 1
SETTINGS = (
    "protocol.tasks=100",
    "training.batch_size=24",
    "training.device=cpu",
    "method.exemplars_per_class=null",
    "method.total_exemplars=1000",
)


class Watch:
    """Notes when each task's first stage begins, and calls `at_start` with its number, which may stop the run."""

    def __init__(self, at_start: Callable[[int], None]) -> None:
        self.starts: dict[int, float] = {}
        self._at_start = at_start

    def start(self, title: str, total: int) -> None:  # noqa: ARG002
        """Note the time if a task begins."""
        begins = re.match(r"task (\d+) of ", title)
        if begins and int(begins[1]) not in self.starts:
            self._at_start(int(begins[1]))
            self.starts[int(begins[1])] = time.perf_counter()

    def advance(self, done: int, note: str = "", *, total: int | None = None) -> None:
        """Say nothing."""

    def wait(self, reason: str) -> None:
        """Say nothing."""

    def finish(self) -> None:
        """Say nothing."""


class Stopped(Exception):
    """The task after the one that is measured begins."""


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
    import_features(folder / "features.npy", folder / "labels.csv", folder / "store", progress=QUIET)
    return folder / "store"


def settings(store: Path) -> RunConfig:
    """Return the config of the run."""
    return load_config("own/essential", ["data.kind=features", f"data.path={store}", *SETTINGS])


def learn(folder: Path, *, keep: Sequence[int]) -> Record:
    """Learn the stream in `folder / "run"`, an epoch in every stage; return the record.

    Args:
        folder: empty.
        keep: tasks of which the run's folder is copied, as it is when they begin, to `folder / "before TASK"`.
    """
    config = settings(make_features(folder))
    watch = Watch(lambda task: _copy(folder / "run", folder / f"before {task}") if task in keep else None)

    def short(method: Method, stage: Stage, *training: Any, **others: Any) -> None:
        fit(method, replace(stage, epochs=1), *training, **others)

    with patch("essential.engine.learn_task.fit", short):
        return run.train(config, folder / "run", resume=False, progress=watch)


def again(folder: Path, task: int) -> float:
    """Learn one task from where `learn` kept the run; return its seconds."""

    def stop(begins: int) -> None:
        if begins > task:
            raise Stopped

    place = folder / "again"
    _copy(folder / f"before {task}", place)
    watch = Watch(stop)
    with contextlib.suppress(Stopped):
        run.train(settings(folder / "store"), place, resume=True, progress=watch)
    end = time.perf_counter()
    shutil.rmtree(place)
    return end - watch.starts[task]


def measure() -> Sequence[Result]:
    """Learn the stream, then its fifth task and its last but one in turns."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        record = learn(folder, keep=(EARLY, LATE))
        spent: dict[int, list[float]] = {EARLY: [], LATE: []}

        def timed(task: int) -> float:
            spent[task].append(again(folder, task))
            return spent[task][-1]

        ratio, spread = ratios_in_turns(lambda: timed(LATE), lambda: timed(EARLY), turns=3)
    detail: dict[str, float | str] = {}
    for task, seconds in spent.items():
        carried = record.memory_bytes_by_task[task - 1]
        detail[f"task {task}, seconds"] = statistics.median(seconds)
        detail[f"task {task}, MiB carried: exemplars and prompts"] = carried.budgeted / 2**20
        detail[f"task {task}, MiB carried: MR modules"] = carried.retrieval_modules / 2**20
    return [Result("100 tasks of 10 classes: task 99's seconds / task 5's", ratio, "<=", 1.3, spread, detail)]


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(".lock*"))


if __name__ == "__main__":
    main(measure, __doc__ or "")
