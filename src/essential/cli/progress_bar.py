"""Progress on the terminal: a bar with rate and time left; elsewhere plain lines."""

import sys
import time
from datetime import timedelta

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from essential.cli.console import Terminal
from essential.cli.terminal import say
from essential.progress import Progress as ProgressLike

# Between two lines of a phase in a log.
_LINE_SECONDS = 60.0


class _Pace:
    """How fast a phase goes, from the first that was told of it, which may be an earlier command's, to the last.

    Over all of that time: what other machines do comes in bursts, a shard at once.
    """

    rate = 0.0
    _first: tuple[int, float] | None = None

    def tell(self, done: int) -> None:
        now = time.perf_counter()
        before, since = self._first = self._first or (done, now)
        self.rate = (done - before) / (now - since) if now > since else 0.0

    def left(self, count: float) -> str:
        """Return the time that `count` more steps take."""
        return str(timedelta(seconds=round(count / self.rate))) if self.rate > 0 else "-:--:--"


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        rate = task.fields["pace"].rate
        return Text(f"{rate:.1f}/s" if rate > 0 else "", style="dim")


class _Left(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(
            "" if task.remaining is None else task.fields["pace"].left(task.remaining), style="progress.remaining"
        )


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
            _Left(),
            TextColumn("{task.fields[note]}", style="dim", markup=False),
            console=Terminal(stderr=True),
        )
        self._bars.start()
        self._bars.add_task(title, total=total or None, note="", pace=_Pace())

    def advance(self, done: int, note: str = "", *, total: int | None = None) -> None:
        if self._bars is not None:
            task = self._bars.tasks[0]
            task.fields["pace"].tell(done)
            self._bars.update(task.id, completed=done, note=note or task.fields["note"], total=total or task.total)

    def finish(self) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = None


class LineProgress(_Notes):
    """A line at the end of a phase, and one a minute during it, without control characters: for logs."""

    _title = ""

    def start(self, title: str, total: int) -> None:
        self.finish()
        self._title, self._total, self._done, self._note = title, total, 0, ""
        self._began = self._told = time.perf_counter()
        self._pace = _Pace()

    def advance(self, done: int, note: str = "", *, total: int | None = None) -> None:
        self._done, self._note, self._total = done, note or self._note, total or self._total
        self._pace.tell(done)
        if time.perf_counter() - self._told >= _LINE_SECONDS and done < self._total:
            self._told = time.perf_counter()
            self._say(f"{done} of {self._total}, {self._pace.rate:.1f}/s, {self._pace.left(self._total - done)} left")

    def finish(self) -> None:
        if self._title and self._done:
            self._say(f"{self._done} in {time.perf_counter() - self._began:.1f} s")
        self._title = ""

    def _say(self, what: str) -> None:
        note = f", {self._note}" if self._note else ""
        say(f"{self._title}: {what}{note}", err=True)


def terminal_progress() -> ProgressLike:
    """Return a live bar if stderr is a terminal, else lines."""
    return BarProgress() if sys.stderr.isatty() else LineProgress()
