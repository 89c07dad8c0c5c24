"""A worker process as the web process sees it: asked one thing at a time, ended and replaced when it fails."""

import multiprocessing
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any, Literal

from essential.errors import EssentialError
from essential.serve.messages import Knowledge, Request, Setup, Step
from essential.serve.refusal import Refusal
from essential.serve.worker import HEAVY, work

# Importing torch from a slow disk, and downloading an encoder's weights.
_START_SECONDS = 1200
_LAST_WORDS_SECONDS = 5
_ATTEMPTS = 2
# A socket's name may have 104 bytes, and multiprocessing puts 33 behind the folder.
_LONGEST_SOCKET_FOLDER = 70


class ServiceError(EssentialError):
    """The service cannot start or go on."""


def start_method(temporary: Path) -> Literal["forkserver", "spawn"]:
    """Return how processes start: as forks of one that has torch in memory and no thread, which takes a moment.

    Where the folder of temporary files has too long a name for that one's socket, each begins anew: that takes seconds.
    """
    return "forkserver" if len(os.fsencode(temporary)) <= _LONGEST_SOCKET_FOLDER else "spawn"


class WorkerProcess:
    """A process that holds a learner.

    Args:
        setup: what it holds.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._context: Any = multiprocessing.get_context(start_method(Path(tempfile.gettempdir())))
        self._context.set_forkserver_preload([*HEAVY])
        self._connection: Any = None
        self._process: Any = None
        self._is_ready = self._is_closed = False
        # Held while the process is changed.
        self._changing = Lock()

    def start(self) -> Knowledge:
        """Start it, wait until it is ready, and return what it knows.

        Raises:
            ServiceError: it ended, took too long, or cannot use its bundle.
        """
        self._begin()
        try:
            return self._await_ready()
        except (EOFError, OSError) as error:
            raise ServiceError(f"a worker process {self._last_words()} before it was ready") from error

    def ask(self, request: Request, *, seconds_limit: float, progress: Callable[[Step], None] | None = None) -> Any:
        """Have a request done and return its result. A process that fails is replaced. One asks at a time.

        A request whose process died is done once more: it may have been killed for want of memory, by others' fault.

        Args:
            request: what to do.
            seconds_limit: until it is done, or goes a step forward.
            progress: told of every step.

        Raises:
            Refusal: the request cannot be done, took too long, or ended the process.
        """
        words = ""
        for _ in range(_ATTEMPTS):
            if self._is_closed:
                raise Refusal(503, "not_ready", "the service is ending")
            try:
                if not self._is_ready:
                    self._await_ready()
                self._connection.send(request)
                return self._outcome(seconds_limit, progress)
            except ServiceError as error:
                self._replace()
                raise Refusal(503, "not_ready", str(error)) from error
            except TimeoutError as error:
                self._replace()
                raise Refusal(504, "too_slow", str(error)) from error
            except (EOFError, OSError):
                words = self._last_words()
                self._replace()
        message = f"the process that worked on it {words}, and so did a second one; it may be damaged, or too large"
        raise Refusal(422, "worker_died", message)

    def close(self) -> None:
        """End the process, whatever it does, for good; whoever asks hears that it is gone."""
        with self._changing:
            self._is_closed = True
            if self._process is not None:
                self._process.kill()
                self._process.join(_LAST_WORDS_SECONDS)

    def _begin(self) -> None:
        with self._changing:
            if self._is_closed:
                return
            self._is_ready = False
            self._connection, theirs = self._context.Pipe()
            process = self._context.Process(target=work, args=(theirs, self._setup), daemon=True)
            process.start()
            self._process = process
            theirs.close()

    def _await_ready(self) -> Knowledge:
        if not self._connection.poll(_START_SECONDS):
            raise ServiceError(f"a worker process was not ready within {_START_SECONDS} seconds")
        said, content = self._connection.recv()
        if said == "failed":
            raise ServiceError(content)
        self._is_ready = True
        knowledge: Knowledge = content
        return knowledge

    def _outcome(self, seconds_limit: float, progress: Callable[[Step], None] | None) -> Any:
        step = "it"
        while True:
            if not self._connection.poll(seconds_limit):
                raise TimeoutError(f"{step} took longer than {seconds_limit:g} seconds, and was given up")
            said, content = self._connection.recv()
            if said == "progress":
                step = f"{content.title} ({content.done} of {content.total} done)"
                if progress is not None:
                    progress(content)
            elif said == "refused":
                raise Refusal(*content)
            else:
                return content

    def _replace(self) -> None:
        """End the process and start another; whoever asks next waits until that one is ready."""
        self._process.kill()
        # A process that waits for a disk that is gone cannot be killed; it is left behind.
        self._process.join(_LAST_WORDS_SECONDS)
        self._connection.close()
        self._begin()

    def _last_words(self) -> str:
        self._process.join(_LAST_WORDS_SECONDS)
        code = self._process.exitcode
        return f"died (signal {-code})" if code is not None and code < 0 else f"ended (exit code {code})"
