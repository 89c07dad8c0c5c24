"""A benchmark small enough for tests: 8 classes of moving digits, 4 tasks, a few clips each, real video files."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import in_float64
from essential.engine.config import load_config
from essential.engine.settings import RunConfig
from essential.progress import Progress
from essential.protocols.moving_digits import MovingDigitsConfig, make_moving_digits
from threads import THREADS

SMALL = (
    "data.moving_digits.digits=1",
    "data.moving_digits.train_clips_per_class=4",
    "data.moving_digits.test_clips_per_class=2",
    "protocol.tasks=4",
    "features.views=2",
    "features.shard_videos=8",
    # Forking the process of the tests takes longer than decoding a few clips.
    "features.workers=0",
    "training.epochs=6",
    "training.warmup_epochs=1",
    "training.batch_size=4",
    "training.checkpoint_epochs=2",
    f"training.threads={THREADS}",
)
AS_INSTALLED = ("-m", "essential")
IN_FLOAT64 = (in_float64.__file__,)
REHEARSAL = ("method.rehearsal_epochs=4", "method.exemplars_per_class=2")


def make_small_data(root: Path) -> Path:
    """Make the clips once; runs then share them."""
    config = MovingDigitsConfig(digits=1, train_clips_per_class=4, test_clips_per_class=2)
    make_moving_digits(root, config, workers=2)
    return root


def small_overrides(data: Path, store: Path, *more: str, rehearsal: bool = True) -> list[str]:
    """Return the overrides that make any shipped moving-digits config small."""
    return [*SMALL, *(REHEARSAL if rehearsal else ()), f"data.root={data}", f"features.store={store}", *more]


def small_config(name: str, data: Path, store: Path, *more: str) -> RunConfig:
    """Return a shipped config made small."""
    rehearsal = name not in {"joint", "finetune"}
    return load_config(f"moving-digits/{name}", small_overrides(data, store, *more, rehearsal=rehearsal))


def command(*arguments: str | Path) -> list[str]:
    """Return a command line that runs `essential` in a process of its own."""
    return [sys.executable, "-m", "essential", *map(str, arguments)]


def run_command(
    *arguments: str | Path, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `essential` to its end and return what it printed."""
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, check=False, cwd=cwd, env={**os.environ, **environment}
    )


def ranks_command(*arguments: str | Path, program: Sequence[str] = IN_FLOAT64) -> list[str]:
    """Return a command line that runs `program`, which is `essential`, in two processes together."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    return [*torchrun, *program, *map(str, arguments)]


def run_ranks(*arguments: str | Path, program: Sequence[str] = IN_FLOAT64) -> subprocess.CompletedProcess[str]:
    """Run two processes together to their end and return what they printed."""
    return subprocess.run(ranks_command(*arguments, program=program), capture_output=True, text=True, check=False)


class StopAt(Progress):
    """Stops a run when a phase begins, as a crash would."""

    class Stopped(Exception):
        """The phase began."""

    def __init__(self, title: str) -> None:
        self._title = title

    def start(self, title: str, total: int) -> None:  # noqa: ARG002
        if title == self._title:
            raise self.Stopped


def record_without_seconds(run: Path) -> dict[str, Any]:
    """Return a run's record but for the times, which differ from run to run, and the digest of all."""
    record: dict[str, Any] = json.loads((run / "record.json").read_text())
    del record["seconds"], record["sha256"]
    return record
