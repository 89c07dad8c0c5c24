"""Progress on the terminal: a bar with rate and time left; elsewhere one plain line per phase."""

import sys
import time

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from essential.cli.console import Terminal
from essential.cli.terminal import say
from essential.progress import Progress as ProgressLike


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f}/s" if speed else "", style="dim")


class _Notes(ProgressLike):
    """Prints each note once: the runs of a comparison all have the same notes on their shared data."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def say(self, note: str) -> None:
        if note not in self._said:
            self._said.add(note)
            say(note, err=True)


class BarProgress(_Notes):
    """A live bar per phase."""

    _bars: Progress | None = None

    def start(self, title: str, total: int) -> None:
        self.finish()
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", style="dim", markup=False),
            console=Terminal(stderr=True),
        )
        self._bars.start()
        self._bars.add_task(title, total=total or None, note="")

    def advance(self, done: int, note: str = "", *, total: int | None = None) -> None:
        if self._bars is not None:
            task = self._bars.tasks[0]
            self._bars.update(task.id, completed=done, note=note or task.fields["note"], total=total or task.total)

    def finish(self) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = None


class LineProgress(_Notes):
    """One line at the end of a phase, without control characters: for logs."""

    _title = ""

    def start(self, title: str, total: int) -> None:  # noqa: ARG002
        self.finish()
        self._title, self._done, self._note, self._began = title, 0, "", time.perf_counter()

    def advance(self, done: int, note: str = "", *, total: int | None = None) -> None:  # noqa: ARG002
        self._done, self._note = done, note or self._note

    def finish(self) -> None:
        if self._title and self._done:
            note = f", {self._note}" if self._note else ""
            say(f"{self._title}: {self._done} in {time.perf_counter() - self._began:.1f} s{note}", err=True)
        self._title = ""


def terminal_progress() -> ProgressLike:
    """Return a live bar if stderr is a terminal, else lines."""
    return BarProgress() if sys.stderr.isatty() else LineProgress()
