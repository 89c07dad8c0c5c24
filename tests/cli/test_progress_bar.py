"""Progress: plain lines in a log, a live bar on a terminal, and the cursor is given back."""

import os
import re
import subprocess
import sys

import pytest

from essential.cli.progress_bar import LineProgress, terminal_progress
from essential.progress import Progress

_WORK = """
from essential.cli.progress_bar import terminal_progress
from essential.progress import phase
progress = terminal_progress()
with phase(progress, "[read] videos", 0):
    progress.advance(1, total=3)
    progress.say("waiting: [x] is in use by process 7")
    progress.advance(3, "loss 0.5", total=3)
with phase(progress, "next", 2):
    raise KeyboardInterrupt
"""


def test_a_log_gets_one_line_per_phase_in_which_something_was_done(capsys: pytest.CaptureFixture[str]) -> None:
    progress = LineProgress()
    progress.start("read videos", 4)
    for done in range(5):
        progress.advance(done, total=4)
    progress.finish()
    progress.start("task 1", 2)
    progress.say("waiting: x is in use by process 7; wait for it to end")
    progress.advance(2, "loss 0.5")
    progress.start("task 2", 2)
    progress.finish()
    progress.finish()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.sub(r"\d\.\d s", "0.0 s", captured.err).splitlines() == [
        "read videos: 4 in 0.0 s",
        "waiting: x is in use by process 7; wait for it to end",
        "task 1: 2 in 0.0 s, loss 0.5",
    ]


def test_a_log_of_a_long_phase_gets_a_line_a_minute_with_rate_and_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("time.perf_counter", lambda: now)
    progress = LineProgress()
    progress.start("extract features", 0)
    for now, done in ((0, 1000), (10, 1050), (60, 1300), (119, 1500), (130, 1650), (200, 2000)):  # 1,000 were there
        progress.advance(done, total=1700 if now < 130 else 2000)
    progress.finish()
    assert capsys.readouterr().err.splitlines() == [
        "extract features: 1300 of 1700, 5.0/s, 0:01:20 left",
        "extract features: 1650 of 2000, 5.0/s, 0:01:10 left",
        "extract features: 2000 in 200.0 s",
    ]


def test_without_a_terminal_lines_are_chosen() -> None:
    progress = terminal_progress()
    assert isinstance(progress, LineProgress)
    assert isinstance(progress, Progress)


def test_a_terminal_gets_a_bar_and_its_cursor_back() -> None:
    ours, theirs = os.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen([sys.executable, "-c", _WORK], stderr=theirs, env=environment) as process:
        os.close(theirs)
        shown = b""
        # A terminal whose other side is closed reads as an error on Linux, as an empty end elsewhere.
        try:
            while part := os.read(ours, 4096):
                shown += part
        except OSError:
            pass
        os.close(ours)
    assert process.returncode != 0
    text = shown.decode()
    assert re.search(r"\[read\] videos.*3/3.*loss 0\.5", text)
    assert "waiting: [x] is in use by process 7" in text
    hidden, back = "\x1b[?25l", "\x1b[?25h"
    assert text.count(hidden) == text.count(back) >= 2
    assert text.rindex(back) > text.rindex(hidden)
