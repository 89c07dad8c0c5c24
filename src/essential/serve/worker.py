"""A worker process: it holds a learner, and does one request after the other."""

import time
from collections.abc import Callable
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from signal import SIG_DFL, SIG_IGN, SIGINT, SIGTERM, signal
from typing import Any

from essential.errors import EssentialError
from essential.progress import SilentProgress
from essential.serve.messages import Setup, Step
from essential.serve.refusal import Refusal

# A fork server imports these once, those that lessons load too; workers share their memory, and begin at once.
HEAVY = (
    "essential.serve.answering",
    "torchvision.transforms.v2",
    "scipy.optimize",
    "scipy.special",
    "sklearn.covariance",
)
_SECONDS_BETWEEN_WORDS = 0.1


def work(connection: "Connection[Any, Any]", setup: Setup) -> None:
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


class _PipedProgress(SilentProgress):
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
