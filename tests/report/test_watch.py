"""The page of a run while it goes: what it says, how seldom it is written, that it costs no run."""

import json
from pathlib import Path
from typing import Any

import pytest
from made_logs import make_log
from parsed_page import ParsedPage

from essential.progress import Progress
from essential.records.training_log import TrainingLog
from essential.report import WatchPage

DASH = "\u2013"


class _Clock:
    """Seconds that pass only when told, and a little with every look."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class _Notes(Progress):
    def __init__(self) -> None:
        self.calls: list[Any] = []

    def start(self, title: str, total: int) -> None:
        self.calls.append((title, total))

    def advance(self, done: int, note: str = "", *, total: int | None = None) -> None:
        self.calls.append((done, note, total))

    def say(self, note: str) -> None:
        self.calls.append(note)


def _events(log: TrainingLog) -> list[dict[str, Any]]:
    """The events of a log in the order in which a run gives them."""
    events: list[dict[str, Any]] = []
    for found in log.evaluations:
        events += [{"event": "epoch", **vars(each)} for each in log.epochs if each.task == found.task]
        events.append({"event": "evaluation", **vars(found)})
    return events


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run's folder that says how many videos each of three tasks has."""
    tasks = [{"train": dict.fromkeys(map(str, range(count)))} for count in (20, 10, 10)]
    (tmp_path / "protocol.json").write_text(json.dumps({"tasks": tasks}))
    return tmp_path


def _text(run: Path) -> str:
    return ParsedPage((run / "report.html").read_text(encoding="utf-8")).text


def test_it_says_how_far_the_run_is_and_how_long_it_still_takes(run: Path) -> None:
    clock = _Clock()
    page = WatchPage(run / "report.html", clock=clock)
    page.progress.start("read videos", 40)
    assert f"Accuracy so far {DASH} known after the first task" in _text(run)
    clock.now = 10
    page.progress.advance(20)
    assert "read videos: 20 of 40 Written" in _text(run), "these may have been done by a run before"
    clock.now = 20
    page.progress.advance(22)
    assert "read videos: 22 of 40 about 1 min 30 s left of this" in _text(run), "2 in 10 s"
    clock.now = 100
    page.start(run, {}, first_step=0)
    events = _events(make_log(2))
    for step, event in enumerate(events):
        clock.now += 1000 / len(events)
        page.write(step, event)
    # Two of three tasks, 30 of 40 videos, took 1000 s.
    assert "Time left 5 min 33 s estimated from the tasks so far" in _text(run)
    assert "Accuracy so far 50.0 %" in _text(run)
    assert "Tasks learned 2 of 3 carrying 0.98 KiB" in _text(run)
    assert "after 1 50.0 50.0 after 2 50.0 50.0 50.0" in _text(run), "the matrix so far"
    html = (run / "report.html").read_text(encoding="utf-8")
    assert html.count('class="chart') == 1
    assert '<meta http-equiv="refresh" content="5">' in html
    assert "<script" not in html


def test_within_a_task_the_time_left_goes_by_the_epochs_of_the_task_before(run: Path) -> None:
    clock = _Clock()
    page = WatchPage(run / "report.html", clock=clock)
    page.start(run, {}, first_step=0)
    events = _events(make_log(2))
    half_of_second = len(events) * 3 // 4
    for step, event in enumerate(events[:half_of_second]):
        clock.now += 10
        page.write(step, event)
    spent = 10 * half_of_second
    # 20 of 40 videos, and half of 10 more.
    left = spent * 15 / 25
    assert f"Time left {int(left // 60)} min" in _text(run)


def test_it_is_written_seldom(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, written = _Clock(), []

    def write(path: Path, text: str) -> None:  # noqa: ARG001
        clock.now += 2
        written.append(clock.now)

    monkeypatch.setattr("essential.report.watch.write_text", write)
    page = WatchPage(run / "report.html", clock=clock)
    page.progress.start("read videos", 10_000)
    for done in range(10_000):
        clock.now += 0.05
        page.progress.advance(done)
    assert 3 <= len(written) <= 7
    assert 2 * len(written) <= clock.now / 50 + 4, "a fiftieth of the time"


def test_everything_is_passed_on(run: Path) -> None:
    shown = _Notes()
    page = WatchPage(run / "report.html", shown)
    page.progress.start("a", 3)
    page.progress.advance(1, "n", total=4)
    page.progress.say("note")
    assert shown.calls == [("a", 3), (1, "n", 4), "note"]


def test_a_run_that_stopped_says_so_and_reloads_no_more(run: Path) -> None:
    page = WatchPage(run / "report.html")
    page.close()
    assert not (run / "report.html").exists(), "nothing was seen to begin"
    page.start(run, {}, first_step=0)
    for step, event in enumerate(_events(make_log(1))):
        page.write(step, event)
    page.close()
    html = (run / "report.html").read_text(encoding="utf-8")
    assert "refresh" not in html
    assert "stopped: the same command with --resume continues it" in _text(run)
    assert "Tasks learned 1 of 3" in _text(run)


def test_a_run_that_is_done_waits_for_its_report(run: Path) -> None:
    page = WatchPage(run / "report.html")
    page.start(run, {}, first_step=0)
    for step, event in enumerate(_events(make_log(3))):
        page.write(step, event)
    page.close()
    assert '<meta http-equiv="refresh"' in (run / "report.html").read_text(encoding="utf-8")


def test_a_resumed_run_shows_what_was_before(run: Path) -> None:
    events = _events(make_log(1))
    (run / "log.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    page = WatchPage(run / "report.html")
    page.start(run, {}, first_step=len(events))
    assert "Tasks learned 1 of 3" in _text(run)
    assert "over 20 epochs of one task after another" in _text(run)


def test_a_page_that_cannot_be_written_costs_one_note(run: Path) -> None:
    shown = _Notes()
    (run / "report.html").mkdir()
    page = WatchPage(run / "report.html", shown)
    page.start(run, {}, first_step=0)
    page.progress.start("a", 3)
    page.close()
    notes = [call for call in shown.calls if isinstance(call, str)]
    assert len(notes) == 1
    assert "report.html is not kept up to date" in notes[0]
    assert shown.calls[-1] == ("a", 3)
    assert list(run.glob(".report*")) == [], "nothing half-written"
