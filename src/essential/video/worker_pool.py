"""The same work on many tasks, in processes of their own: one that dies or hangs costs its task and nothing else.

Each process has a pipe to itself, so that one that is killed while it holds a lock, or half-way through a message, can
harm no other; the standard library's pool breaks as a whole.
"""

import multiprocessing
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Generic, Literal, TypeVar

from essential.errors import DataError
from essential.video.worker_process import Worker, with_origin

Task = TypeVar("Task")
Result = TypeVar("Result")
Start = Literal["fork", "forkserver", "spawn"]

# Tasks that a process holds, the one at hand included: it need not wait while this process is busy.
_EACH = 2
# How often a task is begun. A process may have been killed for want of memory, which is not its task's fault.
_ATTEMPTS = 2
# How often it is looked whether there is a further task by now, while processes work and some could take one.
_LOOK_AGAIN_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Lost:
    """What there is of a task that came to nothing, as its process died, or it took too long: the reason."""

    reason: str


def in_flight(workers: int) -> int:
    """Return how many tasks at most are handed out and not yet taken back, done or not."""
    return _EACH * workers


def run_tasks(
    work: Callable[[Task], Result],
    tasks: Iterable[Task | Lost],
    *,
    workers: int,
    start: Start,
    seconds_limit: float,
    is_next_known: Callable[[], bool] = lambda: True,
) -> Generator[tuple[int, Result | Lost], None, None]:
    """Do `work` on each task in `workers` processes, and yield the place of each with its result.

    Results come in the order of the tasks, unless one takes so long that a process would idle. A task is drawn when it
    is handed out, and no more than `in_flight(workers)` are out at any time, counting the one that was yielded last:
    memory that is set aside for so many is enough.

    A task whose process died is begun once more, in a fresh process; one that takes longer than `seconds_limit` is
    given up at once. A task may be lost before it is begun: then it is its own result, in its turn. Close the generator
    to end the processes.

    Args:
        work: without `fork`, a function of a module, or a partial of one, as it is sent to the processes.
        tasks: picklable, and small, as the results are: a few kilobytes.
        workers: how many processes at most, one at least; they begin as tasks come.
        start: how they start.
        seconds_limit: for one task.
        is_next_known: whether the next task, or that there is none, can be had from `tasks` without waiting. While it
            cannot, what is done is yielded; it is waited for when nothing else is left to do.

    In a process that may have no children, as in a `multiprocessing.Pool`, the work is done in that one; then nothing
    ends what hangs, and what kills kills that one.

    Raises:
        DataError: a process ended before it could take a task; nothing can be done then.
        Exception: whatever `work` raised.
    """
    if multiprocessing.current_process().daemon:
        for place, task in enumerate(tasks):
            yield place, task if isinstance(task, Lost) else work(task)
        return
    pool = _Pool(work, workers=workers, start=start, seconds_limit=seconds_limit)
    try:
        yield from pool.results(tasks, is_next_known)
    finally:
        for worker in pool.workers:
            worker.kill()


def map_files(
    work: Callable[[Path], Result],
    files: Sequence[str],
    *,
    workers: int,
    seconds_limit: float,
    progress: Callable[[int], None] = lambda _: None,
) -> dict[str, Result | Lost]:
    """Return what `work` gives for each file, or why it gives nothing.

    Args:
        work: a function of a module, as it is sent to other processes.
        files: each once.
        progress: called with the number of files done.

    Raises:
        DataError: see `run_tasks`.
    """
    results: dict[str, Result | Lost] = {}
    # Not forked: the parent may hold threads.
    running = run_tasks(
        work, map(Path, files), workers=min(workers, len(files)), start="spawn", seconds_limit=seconds_limit
    )
    for place, result in running:
        results[files[place]] = result
        progress(len(results))
    return results


class _Pool(Generic[Task, Result]):
    def __init__(self, work: Callable[[Task], Result], *, workers: int, start: Start, seconds_limit: float) -> None:
        self._work = work
        self._context = multiprocessing.get_context(start)
        self._seconds_limit = seconds_limit
        self._most_workers = workers
        self._limit = in_flight(workers)
        # By place: what is handed out and not taken back, and what of it is done.
        self._out: dict[int, Task | Lost] = {}
        self._done: dict[int, Result | Lost] = {}
        self._deaths: Counter[int] = Counter()
        self.workers: list[Worker] = []

    def results(
        self, tasks: Iterable[Task | Lost], is_next_known: Callable[[], bool]
    ) -> Generator[tuple[int, Result | Lost], None, None]:
        waiting = enumerate(tasks)
        while True:
            # With nothing under way there is nothing to do but to wait for a task.
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
        could_take = self._may_begin() or any(len(worker.places) < _EACH for worker in self.workers)
        return len(self._out) < self._limit and could_take

    def _may_begin(self) -> bool:
        return len(self.workers) < self._most_workers

    def _hand_out(self, place: int, task: Task | Lost) -> None:
        self._out[place] = task
        if isinstance(task, Lost):
            self._done[place] = task
            return
        if self._may_begin() and all(worker.places for worker in self.workers):
            self.workers.append(Worker(self._context, self._work))
        min(self.workers, key=lambda one: len(one.places)).give(place, task)

    def _deliverable(self) -> int | None:
        """Return the place of the next result: the first task's if it is done; another's if a process would idle."""
        first = min(self._out)
        if first in self._done:
            return first
        idle = self._may_begin() or any(not worker.places for worker in self.workers)
        return min(self._done) if idle and self._done and len(self._out) >= self._limit else None

    def _listen(self, patience_seconds: float | None) -> None:
        ends = [worker.seconds_left(self._seconds_limit) for worker in self.workers]
        known = [seconds for seconds in (*ends, patience_seconds) if seconds is not None]
        ready = wait([worker.connection for worker in self.workers], min(known) if known else None)
        # What was done in time counts, though this process may have been too busy to see it: so it is heard first.
        for index, worker in enumerate(self.workers):
            if worker.connection in ready and not self._hear(worker):
                self._charge(worker)
            elif worker.seconds_left(self._seconds_limit) == 0:
                limit = f"{self._seconds_limit:g} seconds (features.video_seconds_limit)"
                self._done[worker.finish()] = Lost(f"reading it took longer than {limit}")
            else:
                continue
            self.workers[index] = self._successor(worker)

    def _hear(self, worker: Worker) -> bool:
        """Take in what a process has said; return whether it is still there."""
        try:
            while worker.connection.poll():
                said, content = worker.connection.recv()
                if said == "ready":
                    worker.ready = True
                elif said == "begun":
                    worker.begun = content
                elif said == "failed":
                    raise with_origin(*content)
                else:
                    self._done[worker.finish()] = content
        except (EOFError, ConnectionError):
            return False
        return True

    def _charge(self, worker: Worker) -> None:
        """Count a process's death against the task it had at hand, and give the task up if it is the last."""
        words = worker.last_words()
        if not worker.ready:
            raise DataError(
                f"a process that reads videos {words} before it could begin. Started by spawn or forkserver, it "
                "imports the program that starts it: put that into a file, and what it does below the line "
                '`if __name__ == "__main__":`; or start by fork (features.worker_start=fork), or read in one process '
                "(features.workers=0). If that is not it, look after the machine's memory; then run again"
            )
        if worker.places:
            self._deaths[worker.places[0]] += 1
            if self._deaths[worker.places[0]] == _ATTEMPTS:
                self._done[worker.finish()] = Lost(f"the process that read it {words}, and so did a second one")

    def _successor(self, worker: Worker) -> Worker:
        """Return a fresh process that goes on where one that died or hangs was."""
        worker.kill()
        fresh = Worker(self._context, self._work)
        for place in worker.places:
            fresh.give(place, self._out[place])
        return fresh
