"""The same work on many tasks, in child processes: one that dies or hangs costs its task and nothing else."""

import multiprocessing
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import wait
from typing import Any, Generic, TypeVar

from essential.child_process import ChildDied, ChildProcess, Prepare, Say, StartMethod
from essential.errors import DataError
from essential.progress import QUIET, Progress
from essential.remote.copies import remove_leftovers

Task = TypeVar("Task")
Result = TypeVar("Result")

# Tasks that a process holds, with the one it works on: it need not wait while the parent is busy.
EACH = 2
# How often a task is begun. A process may have been killed for lack of memory, which is not its task's fault.
_ATTEMPTS = 2
# How often to look for a further task, while processes work and some could take one.
_LOOK_AGAIN_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Lost:
    """A task without a result, as its process died or it took too long: the reason."""

    reason: str


def in_flight(workers: int, *, each: int = EACH) -> int:
    """Return how many tasks at most are drawn and not yet taken back: what processes hold, and the one yielded last."""
    return each * workers + 1


def run_tasks(
    work: Callable[[Task], Result],
    tasks: Iterable[Task | Lost],
    *,
    workers: int,
    start: StartMethod,
    seconds_limit: float,
    is_next_known: Callable[[], bool] = lambda: True,
    each: int = EACH,
    prepare: Prepare | None = None,
) -> Generator[tuple[int, Result | Lost], None, None]:
    """Do `work` on each task in `workers` processes, and yield the place of each with its result.

    Results come in the order of the tasks, unless one takes so long that a process would idle. At most
    `in_flight(workers, each=each)` tasks are drawn and not yet taken back: memory for these is enough.
    A task whose process died is begun once more; one that takes longer than `seconds_limit` is given up at once; one
    that is lost already is its own result. Close the generator to end the processes.
    A process that may have no children, as in a `multiprocessing.Pool`, does the work itself; nothing ends what hangs.

    Args:
        work: without `fork`, a function of a module, or a partial of one, as it is sent to the processes.
        tasks: picklable and small, as the results are: a few kilobytes.
        workers: how many processes at most, one at least; they start as tasks come.
        is_next_known: whether the next task, or the end of `tasks`, can be had without waiting. While it cannot,
            results are yielded; it is waited for when nothing else is left to do.
        each: how many tasks a process holds, with the one it works on.
        prepare: called with each task in the process that will do it, ahead of time; see `ChildProcess`.

    Raises:
        DataError: a process ended before it could take a task; nothing can be done then.
        Exception: whatever `work` raised.
    """
    if multiprocessing.current_process().daemon:
        for place, task in enumerate(tasks):
            yield place, task if isinstance(task, Lost) else work(task)
        return
    new_worker = partial(_Worker, work, start, prepare)
    pool: _Pool[Task, Result] = _Pool(new_worker, workers=workers, each=each, seconds_limit=seconds_limit)
    try:
        yield from pool.results(tasks, is_next_known)
    finally:
        for worker in pool.workers:
            worker.end()
        remove_leftovers()


def map_files(
    work: Callable[[str], Result],
    files: Sequence[str],
    *,
    workers: int,
    seconds_limit: float,
    progress: Progress = QUIET,
) -> dict[str, Result | Lost]:
    """Return what `work`, a function of a module, gives for each file, or why it gives nothing; see `run_tasks`."""
    results: dict[str, Result | Lost] = {}
    # Not forked: the parent may hold threads.
    several = min(workers, len(files))
    running = run_tasks(work, files, workers=several, start="spawn", seconds_limit=seconds_limit)
    for place, result in running:
        results[files[place]] = result
        progress.advance(len(results), total=len(files))
    return results


class _Worker(ChildProcess):
    """A process, the places of the tasks that it holds, in order, and when it began the first, if it did."""

    def __init__(self, work: Callable[[Any], object], start: StartMethod, prepare: Prepare | None) -> None:
        super().__init__(partial(_begin, work), start, prepare)
        self.places: deque[int] = deque()
        self.begun: float | None = None

    def finish(self) -> int:
        """Take the first task off it and return its place."""
        self.begun = None
        return self.places.popleft()

    def seconds_left(self, limit: float) -> float | None:
        """Return how long it may still work on the first task; None if it has not begun one."""
        return None if self.begun is None else max(0.0, self.begun + limit - time.monotonic())


def _begin(work: Callable[[Any], object], _: Say) -> tuple[None, Callable[[Any], object]]:
    return None, work


class _Pool(Generic[Task, Result]):
    def __init__(self, new_worker: Callable[[], _Worker], *, workers: int, each: int, seconds_limit: float) -> None:
        self.workers: list[_Worker] = []
        self._new_worker = new_worker
        self._seconds_limit = seconds_limit
        self._most_workers, self._each, self._most_out = workers, each, in_flight(workers, each=each)
        # By place: the tasks that are drawn and not taken back, and the results among them.
        self._out: dict[int, Task | Lost] = {}
        self._done: dict[int, Result | Lost] = {}
        self._deaths: Counter[int] = Counter()

    def results(
        self, tasks: Iterable[Task | Lost], is_next_known: Callable[[], bool]
    ) -> Generator[tuple[int, Result | Lost], None, None]:
        waiting = enumerate(tasks)
        while True:
            while self._has_room() and (not self._out or is_next_known()):
                entry = next(waiting, None)
                if entry is None:
                    break
                self._hand_out(*entry)
            if not self._out:
                return
            place = self._deliverable()
            if place is None:
                self._listen(_LOOK_AGAIN_SECONDS if self._has_room() and not is_next_known() else None)
                continue
            yield place, self._done.pop(place)
            del self._out[place]

    def _has_room(self) -> bool:
        """Return whether a further task can be handed out."""
        could_take = self._may_begin() or any(len(worker.places) < self._each for worker in self.workers)
        return len(self._out) < self._most_out and could_take

    def _may_begin(self) -> bool:
        return len(self.workers) < self._most_workers

    def _hand_out(self, place: int, task: Task | Lost) -> None:
        self._out[place] = task
        if isinstance(task, Lost):
            self._done[place] = task
            return
        if self._may_begin() and all(worker.places for worker in self.workers):
            self.workers.append(self._new_worker())
            self.workers[-1].start()
        worker = min(self.workers, key=lambda one: len(one.places))
        worker.places.append(place)
        worker.send(task)

    def _deliverable(self) -> int | None:
        """Return the place of the next result: the first task's if it is done; another's if a process would idle."""
        first = min(self._out)
        if first in self._done:
            return first
        idle = self._may_begin() or any(not worker.places for worker in self.workers)
        return min(self._done) if idle and self._done and len(self._out) >= self._most_out else None

    def _listen(self, patience_seconds: float | None) -> None:
        limits = [worker.seconds_left(self._seconds_limit) for worker in self.workers]
        known = [seconds for seconds in (*limits, patience_seconds) if seconds is not None]
        ready = wait([worker.connection for worker in self.workers], min(known) if known else None)
        for worker in self.workers:
            try:
                # First: a result that came in time counts, though this process was too busy to read it.
                if worker.connection in ready:
                    self._read(worker)
                if worker.seconds_left(self._seconds_limit) != 0:
                    continue
                limit = f"{self._seconds_limit:g} seconds (features.video_seconds_limit)"
                self._done[worker.finish()] = Lost(f"reading it took longer than {limit}")
            except ChildDied as death:
                self._count_death(worker, str(death))
            worker.begun = None
            worker.start()
            remove_leftovers()
            for place in worker.places:
                worker.send(self._out[place])

    def _read(self, worker: _Worker) -> None:
        while (message := worker.receive(0)) is not None:
            if message.kind == "begun":
                worker.begun = message.content
            elif message.kind == "done":
                self._done[worker.finish()] = message.content

    def _count_death(self, worker: _Worker, how: str) -> None:
        """Count a process's death against the task it worked on, and give the task up if it is the last attempt."""
        if not worker.is_ready:
            raise DataError(
                f"a process that reads videos {how} before it could begin. Started by spawn or forkserver, it imports "
                "the program that starts it: put that into a file, and what it does below the line "
                '`if __name__ == "__main__":`; or start by fork (features.worker_start=fork), or read in one process '
                "(features.workers=0). If that is not it, check the machine's memory; then run again"
            )
        if worker.places:
            self._deaths[worker.places[0]] += 1
            if self._deaths[worker.places[0]] == _ATTEMPTS:
                self._done[worker.finish()] = Lost(f"the process that read it {how}, and so did a second one")
