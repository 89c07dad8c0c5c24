"""A run killed with SIGKILL at any moment, and gone on with, gives the record of a run that was left alone."""

import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from small_runs import command, record_without_seconds, run_command, small_overrides

_KILLS = 6


def _arguments(data: Path, folder: Path) -> list[str | Path]:
    overrides = small_overrides(data, folder / "features", "training.checkpoint_epochs=1")
    settings = [part for override in overrides for part in ("-s", override)]
    return ["train", "--config", "moving-digits/essential", "--out", folder / "run", "--resume", *settings]


def _killed(arguments: list[str | Path], *, after_lines: int, then_seconds: float) -> bool:
    """Kill a run a moment after it has reported some phases; return whether it was still running."""
    process = subprocess.Popen(command(*arguments), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for _ in range(after_lines):
        process.stderr.readline()
    time.sleep(then_seconds)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return process.returncode == -signal.SIGKILL


@pytest.mark.slow
def test_kills_at_random_moments_change_nothing(small_data: Path, tmp_path: Path) -> None:
    straight = run_command(*_arguments(small_data, tmp_path / "straight"))
    assert straight.returncode == 0, straight.stderr
    draw = random.Random(0)
    arguments = _arguments(small_data, tmp_path / "killed")
    # The first kills fall into the extraction, the others into training, evaluation and the writing of checkpoints.
    moments = [(1, draw.uniform(0, 0.5)), (1, draw.uniform(0, 0.5))]
    moments += [(draw.randint(1, 3), draw.uniform(0, 0.05)) for _ in range(_KILLS - 2)]
    killed = sum(_killed(arguments, after_lines=lines, then_seconds=seconds) for lines, seconds in moments)
    assert killed >= _KILLS // 2
    last = run_command(*arguments)
    assert last.returncode == 0, last.stderr
    assert record_without_seconds(tmp_path / "killed" / "run") == record_without_seconds(tmp_path / "straight" / "run")
