"""Two ranks against one process: moving digits, one to a clip, learned by both; how far apart the results are.

The figures are differences, not ratios: of every number of the two records, and of the scores of all test clips after
every task, as a share of the largest score. Dropout, drop path and random frames are on, as in the shipped config, and
the batch is one that two ranks cannot halve. Sums in another order round differently, and training makes rounding grow,
the more the longer it goes on; what one process gives with another number of threads stands beside it. In double
precision, where nothing grows that far, `tests/contract/test_method_contract.py` holds every method to 1e-8.
"""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from measuring import Result, main

from essential.engine.run_folder import RunFolder
from essential.records import Record

_SETTINGS = (
    "data.moving_digits.digits=1",
    "data.moving_digits.train_clips_per_class=10",
    "data.moving_digits.test_clips_per_class=10",
    "protocol.tasks=4",
    "training.epochs=8",
    "training.batch_size=9",
    "training.drop_last=false",
    "method.rehearsal_epochs=6",
)
_TASKS = 4
_BOUND = 1e-5


def measure() -> Sequence[Result]:
    """Train with one process, with one of two threads, and with two ranks, from one feature store, and compare."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _train(root, "one", threads=1)
        _train(root, "threads", threads=2)
        _train(root, "ranks", torchrun, threads=1)
        records = [_numbers(Record.read(root / name / "record.json")) for name in ("one", "ranks")]
        by_ranks, by_threads = (_scores_apart(root / "one", root / name) for name in ("ranks", "threads"))
    apart = max(abs(a - b) for a, b in zip(*records, strict=True))
    compared: dict[str, float | str] = {"numbers compared": len(records[0])}
    yardstick: dict[str, float | str] = {"two threads against one": by_threads}
    return [
        Result("two ranks against one: largest difference in the record", apart, "<=", _BOUND, detail=compared),
        Result("two ranks against one: largest difference of a score", by_ranks, "<=", _BOUND, detail=yardstick),
    ]


def _scores_apart(run: Path, other: Path) -> float:
    """Return the largest difference of two runs' scores after any task, as a share of the largest score there."""
    pairs = [[_scores(path, task) for path in (run, other)] for task in range(_TASKS)]
    return max(float(np.abs(ours - theirs).max() / np.abs(ours).max()) for ours, theirs in pairs)


def _scores(run: Path, task: int) -> np.ndarray:
    """Return a column of scores for each slot: all are ranked, as there are few."""
    ranking = RunFolder(run).read_predictions(task).decided
    return np.take_along_axis(ranking.scores, ranking.slots.argsort(axis=1), axis=1)


def _numbers(record: Record) -> list[float]:
    """Return every measured number of a record."""
    metrics = [value for value in record.metrics.model_dump().values() if value is not None]
    matrix = [value for row in record.accuracy for value in row if value is not None]
    return [*metrics, *matrix, *(value for value in record.class_accuracy or () if value is not None)]


def _train(root: Path, name: str, torchrun: Sequence[str] = (), *, threads: int) -> None:
    own = (f"training.threads={threads}", f"data.root={root / 'data'}", f"features.store={root / 'features'}")
    settings = [word for setting in (*_SETTINGS, *own) for word in ("-s", setting)]
    command = [
        sys.executable,
        *torchrun,
        "-m",
        "essential",
        "train",
        "--config",
        "moving-digits/essential",
        "--out",
        root / name,
    ]
    printed = subprocess.run([*map(str, command), *settings], capture_output=True, text=True, check=False)
    if printed.returncode:
        sys.exit(printed.stderr)


if __name__ == "__main__":
    main(measure, __doc__)
