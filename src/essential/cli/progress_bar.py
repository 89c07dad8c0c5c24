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
    """Prints what is told on the way, each note once: a comparison's runs all tell the same of their one folder."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def say(self, note: str) -> None:
        """Print a line."""
        if note not in self._told:
            self._told.add(note)
            say(note, err=True)


class BarProgress(_Notes):
    """A live bar per phase."""

    def __init__(self) -> None:
        super().__init__()
        self._bars: Progress | None = None

    def start(self, title: str, total: int) -> None:
        """Show the bar of a new phase."""
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
        """Move the bar."""
        if self._bars is not None:
            task = self._bars.tasks[0]
            self._bars.update(task.id, completed=done, note=note or task.fields["note"], total=total or task.total)

    def finish(self) -> None:
        """Leave the bar where it is."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None


class LineProgress(_Notes):
    """One line when a phase ends, without control characters: for logs."""

    def __init__(self) -> None:
        super().__init__()
        self._title = ""
        self._done = 0
        self._note = ""
        self._began = 0.0

    def start(self, title: str, total: int) -> None:  # noqa: ARG002
        """Note when the phase begins."""
        self.finish()
        self._title, self._done, self._note, self._began = title, 0, "", time.perf_counter()

    def advance(self, done: int, note: str = "", *, total: int | None = None) -> None:  # noqa: ARG002
        """Note how far it is."""
        self._done, self._note = done, note or self._note

    def finish(self) -> None:
        """Print the line."""
        if self._title and self._done:
            seconds = time.perf_counter() - self._began
            note = f", {self._note}" if self._note else ""
            say(f"{self._title}: {self._done} in {seconds:.1f} s{note}", err=True)
        self._title = ""


def terminal_progress() -> ProgressLike:
    """Return a live bar if a person is looking, lines otherwise."""
    return BarProgress() if sys.stderr.isatty() else LineProgress()
