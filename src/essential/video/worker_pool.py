"""The same work on many tasks, in processes of their own: one that dies or hangs costs its task and nothing else.

Each process has a pipe to itself, so that one that is killed while it holds a lock, or half-way through a message, can
harm no other; the standard library's pool breaks as a whole.
"""

import multiprocessing
import pickle
import time
import traceback
import warnings
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from signal import SIG_DFL, SIG_IGN, SIGINT, SIGTERM, signal
from typing import Any, Generic, Literal, TypeVar

from essential.errors import DataError

Task = TypeVar("Task")
Result = TypeVar("Result")
Start = Literal["fork", "forkserver", "spawn"]

# Tasks that a process holds, the one at hand included: it need not wait while this process is busy.
_EACH = 2
# How often a task is begun. A process may have been killed for want of memory, which is not its task's fault.
_ATTEMPTS = 2
_LAST_WORDS_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Lost:
    """What there is of a task whose process died, or that took too long: the reason."""

    reason: str


def in_flight(workers: int) -> int:
    """Return how many tasks at most are handed out and not yet taken back, done or not."""
    return _EACH * workers


def run_tasks(
    work: Callable[[Task], Result], tasks: Iterable[Task], *, workers: int, start: Start, seconds_limit: float
) -> Generator[tuple[int, Result | Lost], None, None]:
    """Do `work` on each task in `workers` processes, and yield the place of each with its result.

    Results come in the order of the tasks, unless one takes so long that a process would idle. A task is drawn when it
    is handed out, and no more than `in_flight(workers)` are out at any time, counting the one that was yielded last:
    memory that is set aside for so many is enough.

    A task whose process died is begun once more, in a fresh process; one that takes longer than `seconds_limit` is
    given up at once. Close the generator to end the processes.

    Args:
        work: without `fork`, a function of a module, or a partial of one, as it is sent to the processes.
        tasks: picklable, and small, as the results are: a few kilobytes.
        workers: how many processes, one at least.
        start: how they start.
        seconds_limit: for one task.

    Raises:
        DataError: a process ended before it could take a task; nothing can be done then.
        Exception: whatever `work` raised.
    """
    pool = _Pool(work, workers=workers, start=start, seconds_limit=seconds_limit)
    try:
        yield from pool.results(tasks)
    finally:
        pool.close()


def map_files(
    work: Callable[[Path], Result],
    files: Sequence[str],
    *,
    workers: int,
    seconds_limit: float,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Result | Lost]:
    """Return what `work` gives for each file, or why it gives nothing.

    Args:
        work: a function of a module, as it is sent to other processes.
        files: each once.
        workers: how many processes.
        seconds_limit: for one file.
        progress: called with the number of files done.

    Raises:
        DataError: see `run_tasks`.
    """
    results: dict[str, Result | Lost] = {}
    if not files:
        return results
    # Not forked: the parent may hold threads.
    running = run_tasks(
        work, map(Path, files), workers=min(workers, len(files)), start="spawn", seconds_limit=seconds_limit
    )
    for place, result in running:
        results[files[place]] = result
        if progress is not None:
            progress(len(results))
    return results


class _Pool(Generic[Task, Result]):
    def __init__(self, work: Callable[[Task], Result], *, workers: int, start: Start, seconds_limit: float) -> None:
        self._work = work
        self._context = multiprocessing.get_context(start)
        self._seconds_limit = seconds_limit
        self._limit = in_flight(workers)
        # By place: what is handed out and not taken back, and what of it is done.
        self._out: dict[int, Task] = {}
        self._done: dict[int, Result | Lost] = {}
        self._deaths: Counter[int] = Counter()
        self._workers: list[_Worker] = []
        try:
            for _ in range(workers):
                self._workers.append(_Worker(self._context, work))
        except BaseException:
            self.close()
            raise

    def results(self, tasks: Iterable[Task]) -> Generator[tuple[int, Result | Lost], None, None]:
        waiting = enumerate(tasks)
        while True:
            self._hand_out(waiting)
            if not self._out:
                return
            place = self._deliverable()
            if place is None:
                self._listen()
                continue
            yield place, self._done.pop(place)
            del self._out[place]

    def close(self) -> None:
        """End the processes, whatever they do."""
        for worker in self._workers:
            worker.kill()
        self._workers = []

    def _hand_out(self, waiting: Iterable[tuple[int, Task]]) -> None:
        while len(self._out) < self._limit:
            worker = min(self._workers, key=lambda one: len(one.places))
            entry = next(iter(waiting), None) if len(worker.places) < _EACH else None
            if entry is None:
                return
            place, task = entry
            self._out[place] = task
            worker.give(place, task)

    def _deliverable(self) -> int | None:
        """Return the place of the next result: the first task's if it is done; another's if a process would idle."""
        first = min(self._out)
        if first in self._done:
            return first
        idle = any(not worker.places for worker in self._workers)
        return min(self._done) if idle and self._done and len(self._out) >= self._limit else None

    def _listen(self) -> None:
        ends = [worker.seconds_left(self._seconds_limit) for worker in self._workers]
        known = [seconds for seconds in ends if seconds is not None]
        ready = wait([worker.connection for worker in self._workers], min(known) if known else None)
        # What was done in time counts, though this process may have been too busy to see it: so it is heard first.
        for index, worker in enumerate(self._workers):
            if worker.connection in ready and not self._hear(worker):
                self._charge(worker)
            elif worker.seconds_left(self._seconds_limit) == 0:
                limit = f"{self._seconds_limit:g} seconds (features.video_seconds_limit)"
                self._done[worker.finish()] = Lost(f"reading it took longer than {limit}")
            else:
                continue
            self._workers[index] = self._successor(worker)

    def _hear(self, worker: "_Worker") -> bool:
        """Take in what a process has said; return whether it is still there."""
        try:
            while worker.connection.poll():
                said, content = worker.connection.recv()
                if said == "ready":
                    worker.ready = True
                elif said == "begun":
                    worker.begun = content
                elif said == "failed":
                    raise _with_origin(*content)
                else:
                    self._done[worker.finish()] = content
        except (EOFError, ConnectionError):
            return False
        return True

    def _charge(self, worker: "_Worker") -> None:
        """Count a process's death against the task it had at hand, and give the task up if it is the last."""
        words = worker.last_words()
        if not worker.ready:
            raise DataError(
                f"a process that reads videos {words} before it could begin; look after the machine's memory, or "
                "start it in another way (-s features.worker_start=...), and run again"
            )
        if worker.places:
            self._deaths[worker.places[0]] += 1
            if self._deaths[worker.places[0]] == _ATTEMPTS:
                self._done[worker.finish()] = Lost(f"the process that read it {words}, and so did a second one")

    def _successor(self, worker: "_Worker") -> "_Worker":
        """Return a fresh process that goes on where one that died or hangs was."""
        worker.kill()
        fresh = _Worker(self._context, self._work)
        for place in worker.places:
            fresh.give(place, self._out[place])
        return fresh


class _Worker:
    """A process and what it was given.

    Attributes:
        connection: our end of its pipe.
        ready: whether it has come so far as to take tasks.
        places: of the tasks it holds, in order; the first is the one at hand.
        begun: when it began that one, by the monotonic clock; None if it did not yet.
    """

    def __init__(self, context: Any, work: Callable[[Any], Any]) -> None:
        self.connection, theirs = context.Pipe()
        self.ready = False
        self.places: deque[int] = deque()
        self.begun: float | None = None
        self._process = context.Process(target=_serve, args=(theirs, work), daemon=True)
        with warnings.catch_warnings():
            # Python 3.12 warns of any fork beside threads; the work uses nothing that torch's threads may hold locked.
            warnings.filterwarnings("ignore", message=".*fork.*", category=DeprecationWarning)
            self._process.start()
        theirs.close()

    def give(self, place: int, task: object) -> None:
        self.places.append(place)
        # If it died, that is found, and the task given to another, when it is listened to.
        with suppress(ConnectionError):
            self.connection.send(task)

    def finish(self) -> int:
        """Take the task at hand off it and return its place."""
        self.begun = None
        return self.places.popleft()

    def seconds_left(self, limit: float) -> float | None:
        """Return how long it may still work on the task at hand; None if it has none."""
        return None if self.begun is None else max(0.0, self.begun + limit - time.monotonic())

    def kill(self) -> None:
        self._process.kill()
        # A process that waits for a disk or a network that is gone cannot be killed; it is left behind.
        self._process.join(_LAST_WORDS_SECONDS)
        self.connection.close()

    def last_words(self) -> str:
        self._process.join(_LAST_WORDS_SECONDS)
        code = self._process.exitcode
        return f"died (signal {-code})" if code is not None and code < 0 else f"ended (exit code {code})"


def _serve(connection: "Connection[Any, Any]", work: Callable[[Any], Any]) -> None:
    """Do what comes through the pipe, one task after the other, until it is closed or the parent is gone."""
    # An interruption is the parent's to handle, which then ends this process; a handler of its own means nothing here.
    signal(SIGINT, SIG_IGN)
    signal(SIGTERM, SIG_DFL)
    parent = multiprocessing.parent_process()
    assert parent is not None, "it was started by one"
    try:
        connection.send(("ready", None))
        while connection in wait([connection, parent.sentinel]):
            task = connection.recv()
            connection.send(("begun", time.monotonic()))
            connection.send(_said_of(work, task))
    except (EOFError, ConnectionError):
        return


def _said_of(work: Callable[[Any], Any], task: object) -> tuple[str, object]:
    try:
        return "done", work(task)
    except Exception as error:
        return "failed", (_sendable(error), "".join(traceback.format_exception(error)))


def _sendable(error: Exception) -> Exception:
    try:
        pickle.dumps(error)
    except Exception:  # whatever its class makes of being pickled
        return RuntimeError(repr(error))
    return error


def _with_origin(error: Exception, where: str) -> Exception:
    """Return the exception that a process raised, with the place where it did as its cause."""
    error.__cause__ = RuntimeError(f"in a process that reads videos:\n{where}")
    return error
