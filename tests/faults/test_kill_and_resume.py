"""A run that is killed at any moment and resumed gives the record of an undisturbed run."""

import random
import time
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from essential.engine.run import train
from essential.progress import Progress
from small_runs import record_without_seconds, small_config

_KILLS = 6
# Each run is forked of a process that has imported all that is slow to import.
_CONTEXT = get_context("forkserver")
_PRELOAD = ["essential.engine.run", "torch._dynamo", "torchvision.transforms.v2"]


class _Tells(Progress):
    """Says through a pipe that a phase begins."""

    def __init__(self, listener: "Connection[Any, Any]") -> None:
        self._listener = listener

    def start(self, title: str, total: int) -> None:  # noqa: ARG002
        self._listener.send(title)


def _train(data: Path, folder: Path, listener: "Connection[Any, Any] | None" = None) -> None:
    config = small_config("essential", data, folder / "features", "training.checkpoint_epochs=1")
    progress = Progress() if listener is None else _Tells(listener)
    train(config, folder / "run", resume=True, progress=progress)


def _killed(data: Path, folder: Path, *, after_phases: int, then_seconds: float) -> bool:
    """Kill a run a moment after it has begun some phases; return whether it was still running."""
    ours, theirs = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(target=_train, args=(data, folder, theirs))
    process.start()
    theirs.close()
    for _ in range(after_phases):
        ours.recv()
    time.sleep(then_seconds)
    process.kill()
    process.join()
    ours.close()
    return process.exitcode != 0


@pytest.mark.slow
def test_kills_at_random_moments_change_nothing(small_data: Path, tmp_path: Path) -> None:
    _CONTEXT.set_forkserver_preload(_PRELOAD)
    draw = random.Random(0)
    # The first kills fall into the extraction, the others into training, evaluation and the writing of checkpoints.
    moments = [(1, draw.uniform(0, 0.5)), (1, draw.uniform(0, 0.5))]
    moments += [(draw.randint(1, 3), draw.uniform(0, 0.05)) for _ in range(_KILLS - 2)]
    folder = tmp_path / "killed"
    killed = sum(_killed(small_data, folder, after_phases=few, then_seconds=seconds) for few, seconds in moments)
    assert killed >= _KILLS // 2
    for each in (folder, tmp_path / "straight"):
        _train(small_data, each)
    assert record_without_seconds(folder / "run") == record_without_seconds(tmp_path / "straight" / "run")
