"""A worker process, which holds a learner and does one request after the other.

The web process asks it, and ends and replaces it when it fails.
"""

import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from signal import SIG_DFL, SIG_IGN, SIGINT, SIGTERM, signal
from threading import Lock
from typing import Any, Literal

from essential.errors import EssentialError
from essential.progress import Progress
from essential.serve.messages import Knowledge, Refusal, Request, Setup, Step

# Importing torch from a slow disk, and downloading an encoder's weights.
_START_SECONDS = 1200
_LAST_WORDS_SECONDS = 5
_ATTEMPTS = 2
# A socket's name may have 104 bytes, and multiprocessing puts 33 behind the folder.
_LONGEST_SOCKET_FOLDER = 70

# A fork server imports these once, those that lessons load too; workers share their memory, and begin at once.
_HEAVY = (
    "essential.serve.answering",
    "torchvision.transforms.v2",
    "scipy.optimize",
    "scipy.special",
    "sklearn.covariance",
)
_SECONDS_BETWEEN_WORDS = 0.1


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
        self._context.set_forkserver_preload([*_HEAVY])
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
            process = self._context.Process(target=_work, args=(theirs, self._setup), daemon=True)
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


def _work(connection: "Connection[Any, Any]", setup: Setup) -> None:
    """Do what comes through the pipe until it is closed or the parent is gone.

    It says ("ready", knowledge) first, or ("failed", message). Then for each request any number of ("progress", ...),
    and ("done", result) or ("refused", (status, code, message)).
    """
    # An interruption is the parent's to handle, which then ends this process.
    signal(SIGINT, SIG_IGN)
    signal(SIGTERM, SIG_DFL)
    parent = parent_process()
    assert parent is not None, "it was started by one"
    try:
        from essential.serve.answering import Answering

        answering = Answering(setup, _PipedProgress(connection))
    except EssentialError as error:
        connection.send(("failed", str(error)))
        return
    try:
        connection.send(("ready", answering.knowledge()))
        while connection in wait([connection, parent.sentinel]):
            request = connection.recv()
            connection.send(_outcome(answering.answer, request))
    except (EOFError, ConnectionError):
        return


def _outcome(answer: Callable[[Any], object], request: object) -> tuple[str, object]:
    try:
        return "done", answer(request)
    except Refusal as refusal:
        return "refused", (refusal.status, refusal.code, refusal.message)
    except MemoryError:
        return "refused", (422, "too_much_memory", "more memory is needed for it than a worker has; send smaller clips")


class _PipedProgress(Progress):
    """Says through a pipe how far it is, a few times a second."""

    def __init__(self, connection: "Connection[Any, Any]") -> None:
        self._connection = connection
        self._title, self._total = "", 0
        self._last = 0.0

    def start(self, title: str, total: int) -> None:
        """Say that a phase begins."""
        self._title, self._total = title, total
        self._say(0, "")

    def advance(self, done: int, note: str = "", *, total: int | None = None) -> None:
        """Say how far the phase is."""
        self._total = self._total if total is None else total
        if done == self._total or time.monotonic() - self._last > _SECONDS_BETWEEN_WORDS:
            self._say(done, note)

    def _say(self, done: int, note: str) -> None:
        self._last = time.monotonic()
        self._connection.send(("progress", Step(self._title, done, self._total, note)))
