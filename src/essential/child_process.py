"""A child process that does one request after the other: how it starts, answers, fails, dies and is replaced.

Each has a pipe to itself: one that is killed while it holds a lock, or half-way through a message, harms no other. The
standard library's pools break as a whole.
"""

import gc
import multiprocessing
import os
import pickle
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from multiprocessing.reduction import ForkingPickler
from signal import SIG_DFL, SIG_IGN, SIGINT, SIGTERM, signal
from threading import Lock, Thread
from typing import Any, Literal, NamedTuple

StartMethod = Literal["fork", "forkserver", "spawn"]
Say = Callable[[object], None]
Begin = Callable[[Say], tuple[object, Callable[[Any], object]]]
Prepare = Callable[[Any], object]

# A process that waits for a disk or a network that is gone cannot be killed; it is left behind after so long.
_END_SECONDS = 5


class ChildDied(Exception):
    """A child process cannot be used any more; the message says how it ended, as in "died (signal 9)"."""


class Message(NamedTuple):
    """What a child says: "ready" once, with what `begin` gave; then for each request "begun", any progress, "done"."""

    kind: Literal["ready", "begun", "progress", "done"]
    content: Any  # of "begun", the moment by the monotonic clock


class ChildProcess:
    """A process that does requests in the order in which they are sent. It ends with its parent.

    Args:
        begin: called in the child, with a function that sends progress. Returns the content of the message "ready", and
            the function that does a request. Without `fork` it must be picklable. `start` calls the one set last.
        start_method: how it starts.
        prepare: called in the child with each request once it has come, before those that still wait there are begun.
            It must not wait itself. What it raises is raised by `receive`, as what a request raises.
    """

    def __init__(self, begin: Begin, start_method: StartMethod, prepare: Prepare | None = None) -> None:
        # The parent's end of the pipe, to wait for a message of one of many children.
        self.connection: Any = None
        self.is_ready = self.is_ended = False
        self.begin = begin
        self._prepare = prepare
        self._context: Any = multiprocessing.get_context(start_method)
        self._process: Any = None
        self._changing = Lock()

    def start(self) -> None:
        """Start the process; if there is one, kill and replace it. After `end`, do nothing."""
        with self._changing:
            if self.is_ended:
                return
            self._kill()
            self.is_ready = False
            self.connection, theirs = self._context.Pipe()
            create = _ForkedProcess if self._context.get_start_method() == "fork" else self._context.Process
            process = create(target=_run, args=(theirs, self.begin, self._prepare), daemon=True)
            process.start()
            self._process = process
            theirs.close()

    def end(self) -> None:
        """Kill the process for good, whatever it does. Whoever waits for a message hears that it died."""
        with self._changing:
            self.is_ended = True
            self._kill()

    def send(self, request: object) -> None:
        """Send a request. If the process is dead, `receive` says so."""
        with suppress(ConnectionError):
            self.connection.send(request)

    def receive(self, seconds: float | None) -> Message | None:
        """Return the next message; None if there is none within `seconds`.

        Raises:
            ChildDied: the process ended, or sent a damaged message.
            Exception: what `begin` or a request raised, with the child's traceback as its cause.
        """
        try:
            if not self.connection.poll(seconds):
                return None
            kind, content = self.connection.recv()
        except (EOFError, OSError) as error:
            # Of two threads that wait for a process at once, one is not told how it ended.
            with self._changing:
                self._process.join(_END_SECONDS)
                code = self._process.exitcode
            killed = code is not None and code < 0
            raise ChildDied(f"died (signal {-code})" if killed else f"ended (exit code {code})") from error
        except Exception as error:  # whatever unpickling makes of damaged bytes
            raise ChildDied(f"sent a damaged message ({type(error).__name__})") from error
        if kind == "failed":
            failure, origin = content
            raise failure from RuntimeError(f"in a child process:\n{origin}")
        self.is_ready |= kind == "ready"
        return Message(kind, content)

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join(_END_SECONDS)


def end_with_parent() -> None:
    """End this process when the one that started it is gone, also in the middle of work."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "it is a child"

    def watch() -> None:
        parent.join()
        os._exit(1)

    Thread(target=watch, daemon=True).start()


class _ForkedProcess(ForkProcess):
    def _bootstrap(self, *args: Any, **kwargs: Any) -> int:
        # Else it would close the parent's standard input, and wait for ever if a thread of the parent is reading it.
        sys.stdin = None
        code: int = super()._bootstrap(*args, **kwargs)  # type: ignore[misc]
        return code


def _run(connection: "Connection[Any, Any]", begin: Begin, prepare: Prepare | None) -> None:
    """Begin, and do requests until the parent closes the pipe."""
    # Ctrl-C is for the parent, which then ends this process; the parent's own handlers mean nothing here.
    signal(SIGINT, SIG_IGN)
    signal(SIGTERM, SIG_DFL)
    end_with_parent()
    # What the parent had stays: to collect it here takes 0.2 s, and copies the memory that a forked process shares.
    gc.freeze()
    with suppress(EOFError, ConnectionError):
        try:
            content, work = begin(lambda step: connection.send(("progress", step)))
        except Exception as error:
            connection.send(_failure(error))
            return
        connection.send(("ready", content))
        waiting: deque[Any] = deque()
        while True:
            while not waiting or (prepare and connection.poll()):
                waiting.append(connection.recv())
                try:
                    if prepare:
                        prepare(waiting[-1])
                except Exception as error:
                    connection.send(_failure(error))
                    return
            connection.send(("begun", time.monotonic()))
            connection.send_bytes(_outcome(work, waiting.popleft()))


def _outcome(work: Callable[[Any], object], request: object) -> "memoryview[int]":
    try:
        return ForkingPickler.dumps(("done", work(request)))
    except Exception as error:
        return ForkingPickler.dumps(_failure(error))


def _failure(error: Exception) -> tuple[str, object]:
    origin = "".join(traceback.format_exception(error))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever its class makes of being pickled
        error = RuntimeError(repr(error))
    return "failed", (error, origin)
