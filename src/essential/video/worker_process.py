"""One process of a pool: what it is given, what it does, and how it is heard from."""

import multiprocessing
import pickle
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from signal import SIG_DFL, SIG_IGN, SIGINT, SIGTERM, signal
from typing import Any

_LAST_WORDS_SECONDS = 5


class Worker:
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
        begin = _Forked if context.get_start_method() == "fork" else context.Process
        self._process = begin(target=_serve, args=(theirs, work), daemon=True)
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


class _Forked(ForkProcess):
    """A process that leaves alone the standard input, which it has from the one that it was forked from."""

    def _bootstrap(self, *args: Any, **kwargs: Any) -> int:
        # It would be closed, and wait for ever for its lock, which a thread that reads it may hold.
        sys.stdin = None
        code: int = super()._bootstrap(*args, **kwargs)  # type: ignore[misc]
        return code


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


def with_origin(error: Exception, where: str) -> Exception:
    """Return the exception that a process raised, with the place where it did as its cause."""
    error.__cause__ = RuntimeError(f"in a process that reads videos:\n{where}")
    return error
