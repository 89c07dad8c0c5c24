"""A rank that is killed, or an error that all meet: one clear message, a quick end, a folder to resume from."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from essential.engine.run import train
from essential.progress import Progress
from in_float64 import in_float64
from small_runs import AS_INSTALLED, ranks_command, record_without_seconds, run_ranks, small_config, small_overrides

_SECONDS = 300


def _errors(printed: str) -> list[str]:
    return [line for line in printed.splitlines() if line.startswith("error: ")]


def _process_of(rank: int, torchrun: int) -> int:
    """Return the process that `torchrun` started as `rank`."""
    children = Path(f"/proc/{torchrun}/task/{torchrun}/children").read_text().split()
    of_rank = [each for each in children if f"\0RANK={rank}\0".encode() in Path(f"/proc/{each}/environ").read_bytes()]
    (process,) = map(int, of_rank)
    return process


def _wait_for_pending(process: int, number: signal.Signals) -> None:
    """Wait until a process that is stopped has been sent a signal."""
    since = time.monotonic()
    while True:
        status = Path(f"/proc/{process}/status").read_text().splitlines()
        pending = [int(line.split()[1], 16) for line in status if line.startswith(("SigPnd", "ShdPnd"))]
        if any(mask >> (number - 1) & 1 for mask in pending):
            return
        assert time.monotonic() - since < _SECONDS
        time.sleep(0.01)


@pytest.fixture(scope="module")
def alone(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of one process that nothing happened to; its features are beside it."""
    folder = tmp_path_factory.mktemp("alone")
    with in_float64():
        config = small_config("essential", small_data, folder / "features")
        train(config, folder / "run", resume=False, progress=Progress())
    return folder / "run"


@pytest.mark.parametrize(("victim", "told_first"), [(0, True), (1, False)])
def test_a_killed_rank_ends_the_run_which_can_be_gone_on_with(
    small_data: Path, alone: Path, tmp_path: Path, victim: int, told_first: bool
) -> None:
    """With `told_first`, torchrun tells the other rank to end before that has seen that it is alone.

    All is in float64, so that the record of two ranks, and then one, is that of one: see `in_float64.py`.
    """
    settings = [part for each in small_overrides(small_data, alone.with_name("features")) for part in ("-s", each)]
    arguments = ["train", "--config", "moving-digits/essential", "--out", tmp_path / "run", *settings]
    process = subprocess.Popen(ranks_command(*arguments), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    waited_since = time.monotonic()
    while not (tmp_path / "run" / "state.safetensors").exists():
        assert time.monotonic() - waited_since < _SECONDS
        assert process.poll() is None
        time.sleep(0.01)
    other = _process_of(1 - victim, process.pid)
    if told_first:
        os.kill(other, signal.SIGSTOP)
    os.kill(_process_of(victim, process.pid), signal.SIGKILL)
    if told_first:
        _wait_for_pending(other, signal.SIGTERM)
        os.kill(other, signal.SIGCONT)
    _, printed = process.communicate(timeout=_SECONDS)
    assert process.returncode != 0
    assert len(_errors(printed)) == 1, printed
    (error,) = _errors(printed)
    assert f"rank {victim} (process " in error
    assert "ended early" in error
    assert "--resume" in error
    assert "in train" not in printed, "no traceback of ours"
    assert not (tmp_path / "run" / "record.json").exists()

    with in_float64():
        config = small_config("essential", small_data, alone.with_name("features"))
        train(config, tmp_path / "run", resume=True, progress=Progress())
    assert record_without_seconds(tmp_path / "run") == record_without_seconds(alone)


def test_an_error_that_all_ranks_meet_is_told_once(tmp_path: Path) -> None:
    arguments = ("train", "--config", "moving-digits/essential", "--out", tmp_path / "run", "-s", "sed=1")
    ended = run_ranks(*arguments, program=AS_INSTALLED)
    assert ended.returncode != 0
    (error,) = _errors(ended.stderr)
    assert "unknown key 'sed' (did you mean 'seed'?)" in error
    assert not (tmp_path / "run").exists()
