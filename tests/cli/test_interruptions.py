"""Ctrl-C says how to go on; a reader that goes away is no error."""

import subprocess
import sys
from typing import NoReturn

import pytest

from in_process import Essential


def test_ctrl_c_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch, essential: Essential) -> None:
    def stop(*_: object, **__: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr("essential.engine.run.train", stop)
    outcome = essential("train", "--config", "moving-digits/essential", "--out", "run")
    assert (outcome.code, outcome.out) == (130, "")
    assert outcome.err == (
        "stopped; what is finished is kept, and nothing is half-written: run the same command again "
        "(train: with --resume)\n"
    )


def test_a_reader_that_goes_away_is_no_error() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "essential", "configs"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait() != 2
