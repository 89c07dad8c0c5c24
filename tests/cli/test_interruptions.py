"""Ctrl-C says how to continue; a reader that goes away is no error."""

import subprocess
import sys
from typing import NoReturn

import pytest

from in_process import Essential


@pytest.mark.parametrize(
    ("command", "work", "text"),
    [
        (("train", "--out", "run"), "essential.engine.run.train", "To continue, run the same command with --resume."),
        (("demo",), "essential.engine.run.train", "To continue, run the same command again."),
        (
            ("data", "make", "moving-digits", "--out", "d"),
            "essential.protocols.moving_digits.make_moving_digits",
            "To continue, run the same command again.",
        ),
        (
            ("learn", "--into", "b", "--videos", "."),
            "essential.learner.clips.clips_by_class",
            "The bundle is unchanged.",
        ),
        (("forget", "b", "up"), "essential.learner.bundle.refuse_missing", "The bundle is unchanged."),
        (("classes", "b"), "essential.learner.bundle.Bundle.read", ""),
    ],
)
def test_ctrl_c_says_how_to_continue(
    command: tuple[str, ...], work: str, text: str, monkeypatch: pytest.MonkeyPatch, essential: Essential
) -> None:
    def stop(*_: object, **__: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(work, stop)
    outcome = essential(*command)
    assert (outcome.code, outcome.out) == (130, "")
    assert outcome.err.removeprefix("== essential\n") == f"Stopped. {text}".rstrip() + "\n"


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
