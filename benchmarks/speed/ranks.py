"""Two ranks against one process: the embedded benchmark's first tasks, learned by both; how far apart the results are.

The figures are differences, not ratios: of accuracies and of the scores of every test clip after every task. Dropout, drop
path and random frames are on, as they are in the shipped config, and the batch is one that two ranks cannot halve.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from essential.engine.run_folder import RunFolder
from essential.metrics import accuracy_on_seen
from measuring import Result, main

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
    """Train with one process and with two, from one feature store, and compare."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _train(root, "one", [sys.executable])
        _train(root, "two", [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"])
        one, two = (
            [RunFolder(root / name).read_predictions(task) for task in range(_TASKS)] for name in ("one", "two")
        )
    scores = max(float(np.abs(a.scores - b.scores).max()) for a, b in zip(one, two, strict=True))
    largest = max(float(np.abs(each.scores).max()) for each in one)
    right = [[accuracy_on_seen(each.evaluation()) for each in run] for run in (one, two)]
    accuracies = max(abs(a - b) for a, b in zip(*right, strict=True))
    detail: dict[str, float | str] = {"largest score": largest, "final accuracy": right[0][-1]}
    return [
        Result("two ranks against one: largest difference of an accuracy", accuracies, "<=", _BOUND, detail=detail),
        Result("two ranks against one: largest difference of a score", scores, "<=", _BOUND, detail=detail),
    ]


def _train(root: Path, name: str, python: Sequence[str]) -> None:
    places = (f"data.root={root / 'data'}", f"features.store={root / 'features'}")
    settings = [word for setting in (*_SETTINGS, *places) for word in ("-s", setting)]
    command = [*python, "-m", "essential", "train", "--config", "moving-digits/essential", "--out", root / name]
    subprocess.run(
        [str(word) for word in [*command, *settings]],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


if __name__ == "__main__":
    main(measure, __doc__)
