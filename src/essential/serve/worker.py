"""A worker: a child process that holds a learner and does one request at a time for the web process."""

import logging
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from essential.child_process import ChildDied, ChildProcess, Say
from essential.errors import EssentialError
from essential.progress import Progress
from essential.serve.messages import Knowledge, Refusal, Setup, Step

_LOG = logging.getLogger(__name__)
# To import torch from a slow disk, and to download an encoder's weights.
_START_SECONDS = 1200
_ATTEMPTS = 2
# A socket's name may have 104 bytes, and multiprocessing puts 33 behind the folder.
_LONGEST_SOCKET_FOLDER = 70
# A fork server imports these once, with what lessons need; workers share their memory, and start at once.
_HEAVY = ["essential.serve.answering", "torchvision.transforms.v2"]
_HEAVY += ["scipy.optimize", "scipy.special", "sklearn.covariance"]
_SECONDS_BETWEEN_STEPS = 0.1


class ServiceError(EssentialError):
    """The service cannot start or go on."""


def not_ready(error: ServiceError) -> Refusal:
    """Log why no worker is ready, and return the refusal, which names no place on this machine, as the error may."""
    _LOG.error("no worker is ready: %s", error)
    return Refusal(503, "not_ready", "no worker process is ready; the service's log says why")


def start_method(temporary: Path) -> Literal["forkserver", "spawn"]:
    """Return how workers start: as forks of a process that has torch in memory and no thread, which takes a moment.

    If the folder of temporary files has too long a name for that process's socket, by spawn, which takes seconds.
    """
    return "forkserver" if len(os.fsencode(temporary)) <= _LONGEST_SOCKET_FOLDER else "spawn"


class Worker:
    """A process that holds a learner. One request at a time; it is replaced if it dies, fails or takes too long."""

    def __init__(self, setup: Setup) -> None:
        multiprocessing.set_forkserver_preload(_HEAVY)
        self._setup = setup
        self._child = ChildProcess(partial(_begin, setup), start_method(Path(tempfile.gettempdir())))

    def start(self) -> Knowledge:
        """Start it, or replace it by one that reads the bundle again, and return what that knows.

        A ServiceError if it ended, failed, took too long, or cannot use its bundle.
        """
        self._child.start()
        try:
            knowledge = self._await_ready()
        except ChildDied as death:
            raise ServiceError(f"a worker process {death} before it was ready") from death
        # There was a bundle: if it is missing from now on, it was lost, and an empty one is no answer to that.
        self._child.begin = partial(_begin, replace(self._setup, begin_with=None))
        return knowledge

    def ask(
        self, call: Callable[[Any], Any], *, seconds_limit: float, progress: Callable[[Step], None] = lambda _: None
    ) -> Any:
        """Return the result of a `methodcaller` on the `Answering` of the process, or raise a `Refusal`.

        One whose process died is done once more: it may have been killed for lack of memory, by others' fault. It must
        be done, or go a step forward, within the limit.
        """
        how = ""
        for _ in range(_ATTEMPTS):
            if self._child.is_ended:
                raise Refusal(503, "not_ready", "the service is ending")
            try:
                if not self._child.is_ready:
                    self._await_ready()
                self._child.send(call)
                return self._result(seconds_limit, progress)
            except Refusal:
                raise
            except ServiceError as error:
                self._child.start()
                raise not_ready(error) from error
            except MemoryError as error:
                message = "more memory is needed for it than a worker has; send smaller clips"
                raise Refusal(422, "too_much_memory", message) from error
            except ChildDied as death:
                how = str(death)
            except Exception as error:
                _LOG.exception("a worker failed for a reason that is not the request's")
                how = f"failed ({type(error).__name__})"
            self._child.start()
        message = f"the process that worked on it {how}, and so did a second one; it may be damaged, or too large"
        raise Refusal(422, "worker_died", message)

    def close(self) -> None:
        """End the process for good, whatever it does."""
        self._child.end()

    def _await_ready(self) -> Knowledge:
        try:
            while (message := self._child.receive(_START_SECONDS)) is not None:
                if message.kind == "ready":
                    knowledge: Knowledge = message.content
                    return knowledge
        except EssentialError as error:
            raise ServiceError(str(error)) from error
        except ChildDied:
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise ServiceError(f"a worker process failed before it was ready ({reason})") from error
        raise ServiceError(f"a worker process was not ready within {_START_SECONDS} seconds")

    def _result(self, seconds_limit: float, progress: Callable[[Step], None]) -> Any:
        step = "it"
        while (message := self._child.receive(seconds_limit)) is not None:
            if message.kind == "done":
                return message.content
            if message.kind == "progress":
                progress(message.content)
                step = f"{message.content.title} ({message.content.done} of {message.content.total} done)"
        self._child.start()
        raise Refusal(504, "too_slow", f"{step} took longer than {seconds_limit:g} seconds, and was given up")


class _SentProgress(Progress):
    """Sends steps to the web process, a few a second."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._title, self._total = "", 0
        self._last = 0.0

    def start(self, title: str, total: int) -> None:
        """Send that a phase begins."""
        self._title, self._total, self._last = title, total, 0.0
        self.advance(0)

    def advance(self, done: int, note: str = "", *, total: int | None = None) -> None:
        """Send how far the phase is, if it is at its end or some time has passed."""
        self._total = self._total if total is None else total
        if done == self._total or time.monotonic() - self._last > _SECONDS_BETWEEN_STEPS:
            self._last = time.monotonic()
            self._say(Step(self._title, done, self._total, note))


def _begin(setup: Setup, say: Say) -> tuple[Knowledge, Callable[[Any], object]]:
    from essential.serve.answering import Answering  # loads torch

    answering = Answering(setup, _SentProgress(say))
    return answering.knowledge, answering.do
