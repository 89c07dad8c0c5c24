"""A page about a run while it goes: it reloads itself, and is at last replaced by the run's report."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from essential.files.atomic import write_text
from essential.files.untrusted import read_json
from essential.progress import QUIET, Progress
from essential.records.training_log import TrainingLog
from essential.report.drawing import LineStyle
from essential.report.rendering import render
from essential.report.training_curves import training_figure
from essential.shown import described

_LEAST_SECONDS = 5.0
# Writing takes no more than one part in so many of the time.
_SHARE = 50


class _Phase(NamedTuple):
    """What the run is doing; `began` is when it was first told how much was done, and `first` is that much.

    What a run before has done comes with the first number, and took no time of this one.
    """

    title: str
    done: int
    total: int
    began: float
    first: int

    def left(self, now: float) -> float | None:
        """Return the seconds that it still takes at the pace so far; None: not known yet."""
        new = self.done - self.first
        return (now - self.began) * (self.total - self.done) / new if new > 0 and self.total >= self.done else None


class WatchPage:
    """Writes the page: a `Sink` of `train`, and by `progress` what it is doing; neither raises.

    The page appears whole, every few seconds at most, and takes a fiftieth of the time at most. A page that cannot be
    written costs a note, and the run goes on.

    Args:
        path: the page; `train` of the command line takes that of the report.
        shown: the progress that shows it elsewhere; the page passes everything on to it.
        clock: seconds, from anywhere.
    """

    name = "the page"

    def __init__(self, path: Path, shown: Progress = QUIET, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self.progress: Progress = _WatchedProgress(self, shown)
        self._path, self._shown, self._clock = path, shown, clock
        self._phase: _Phase | None = None
        self._log = TrainingLog()
        self._videos: list[int] = []
        self._start = self._share = 0.0
        self._next, self._broken, self._written = 0.0, False, False

    def start(self, folder: Path, config: Mapping[str, Any], *, first_step: int) -> None:  # noqa: ARG002
        with self._unharmed():
            # A task takes about as long as it has training videos.
            self._videos = [max(1, len(task["train"])) for task in read_json(folder / "protocol.json")["tasks"]]
            log = folder / "log.jsonl"
            self._log = TrainingLog.read(log) if first_step else TrainingLog()
            self._start, self._share = self._clock(), self._share_done()
            self._write_if_due()

    def write(self, step: int, event: Mapping[str, Any]) -> None:  # noqa: ARG002
        with self._unharmed():
            new = TrainingLog.of([event])
            self._log = TrainingLog(self._log.epochs + new.epochs, self._log.evaluations + new.evaluations)
            self._write_if_due()

    def close(self) -> None:
        """Say that the run stopped, if it was seen to begin and not to end; else that the report comes."""
        with self._unharmed():
            if self._written:
                self._write(stopped=len(self._log.evaluations) < max(1, len(self._videos)))

    def tell(self, title: str, done: int, total: int) -> None:
        """Take what `progress` was told: a phase, and how far it is."""
        with self._unharmed():
            known = self._phase if self._phase and self._phase.title == title and self._phase.done else None
            began, first = (known.began, known.first) if known else (self._clock(), done)
            self._phase = _Phase(title, done, total, began, first)
            self._write_if_due()

    @contextmanager
    def _unharmed(self) -> Iterator[None]:
        # Whatever it is: no page is worth a run.
        try:
            yield
        except Exception as error:
            if not self._broken:
                self._shown.say(f"warning: {self._path} is not kept up to date ({described(error)}); the run goes on")
            self._broken = True

    def _write_if_due(self) -> None:
        if not self._broken and self._clock() >= self._next:
            self._write(stopped=False)

    def _write(self, *, stopped: bool) -> None:
        began = self._clock()
        write_text(self._path, self._page(stopped=stopped))
        self._written = True
        self._next = self._clock() + max(_LEAST_SECONDS, _SHARE * (self._clock() - began))

    def _page(self, *, stopped: bool) -> str:
        figure = training_figure("watch", self._log)
        rows = [each.accuracy_by_task for each in self._log.evaluations]
        # Older logs have no accuracy by task.
        known = all(len(row) == number for number, row in enumerate(rows, 1))
        columns = max(len(self._videos), len(rows))
        return render(
            "watch.html",
            name=self._path.absolute().parent.name,
            stopped=stopped,
            refresh=None if stopped else round(_LEAST_SECONDS),
            tasks=len(self._videos),
            evaluations=self._log.evaluations,
            matrix=[[*row, *[None] * (columns - len(row))] for row in rows] if known else [],
            phase=self._phase,
            phase_left=self._phase and self._phase.left(self._clock()),
            left=self._seconds_left(),
            figure=figure,
            swatches={style.swatch: style.svg for style in map(LineStyle, range(len(figure.legend) if figure else 0))},
            written=time.strftime("%H:%M:%S"),
        )

    def _share_done(self) -> float:
        """Return which share of the work is done, a task weighed by its videos; in the first task, none."""
        done = len(self._log.evaluations)
        if not self._videos or done >= len(self._videos):
            return float(bool(self._videos))
        of_last, of_this = (sum(each.task == task for each in self._log.epochs) for task in (done - 1, done))
        within = min(1.0, of_this / of_last) if of_last else 0.0
        return (sum(self._videos[:done]) + within * self._videos[done]) / sum(self._videos)

    def _seconds_left(self) -> float | None:
        """Return how long the run still takes, if it goes on as it went since it was started; None: not known yet."""
        share = self._share_done()
        if not self._log.evaluations or share <= self._share:
            return None
        return (self._clock() - self._start) * (1 - share) / (share - self._share)


class _WatchedProgress(Progress):
    """Passes on to another progress, and tells the page."""

    def __init__(self, page: WatchPage, shown: Progress) -> None:
        self._page, self._shown = page, shown
        self._title, self._total = "", 0

    def start(self, title: str, total: int) -> None:
        self._shown.start(title, total)
        self._title, self._total = title, total
        self._page.tell(title, 0, total)

    def advance(self, done: int, note: str = "", *, total: int | None = None) -> None:
        self._shown.advance(done, note, total=total)
        self._total = total or self._total
        self._page.tell(self._title, done, self._total)

    def finish(self) -> None:
        self._shown.finish()

    def say(self, note: str) -> None:
        self._shown.say(note)
