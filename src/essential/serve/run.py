"""The service from its start to its end: worker processes, the folder of uploads, the web server, its log."""

import asyncio
import logging
import resource
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from essential.errors import BundleError
from essential.files.atomic import file_lock
from essential.serve.access import Access, Guard
from essential.serve.app import build_app
from essential.serve.messages import Setup
from essential.serve.service import Service
from essential.serve.uploads import upload_root
from essential.shown import printable_lines

# For requests that are being answered when the service ends.
_LAST_ANSWERS_SECONDS = 5
_ENDING = (signal.SIGINT, signal.SIGTERM)
# Connections that are taken from the queue at once, before the first of them is looked at.
_BACKLOG = 64
# Files for pipes, uploads, listeners, and clips that are read.
_OTHER_FILES = 64
_MOST_CONNECTIONS = 1000
_ASK_SECONDS = 10.0
# In so many seconds, of one kind and of all kinds, before messages are counted instead of written.
_LOG_SECONDS = 60
_SAME_LINES_AT_MOST = 3
_LINES_AT_MOST = 100


def serve(setup: Setup, access: Access, *, announce: Callable[[str], None]) -> list[str]:
    """Serve a bundle until a signal ends it (Ctrl-C); return the names of the lessons that were lost by that.

    `announce` gets the address of the page when it can be opened.

    Raises:
        BundleError, InUseError: the bundle is missing, or another process holds it.
        ServiceError: the workers cannot use it, or the address is taken.
    """
    _refuse_missing(setup)
    lost: list[str] = []
    with (
        suppress(KeyboardInterrupt),
        _signals_interrupt(),
        service_log(),
        file_lock(setup.bundle),
        access.listen() as listener,
        upload_root() as uploads,
        closing(Service(setup, uploads)) as service,
        _uninterrupted_end(),
    ):
        try:
            service.start()
            announce(access.url(listener.getsockname()[1]))
            _answer(service, access, listener)
        finally:
            lost = [job.name for job in service.lost if job.state != "done"]
    return lost


def _refuse_missing(setup: Setup) -> None:
    """Refuse a bundle that is missing if none is to be begun, or that is there if one is."""
    path, begin_with = setup.bundle, setup.begin_with
    if path.is_dir():
        raise BundleError("it is a folder", where=path, remedy="give the file of a bundle")
    if begin_with is None and not path.exists():
        remedy = "begin an empty one with --encoder NAME, such as clip-vit-b16 or efficientnet-lite0, or check the name"
        raise BundleError(f"there is no bundle {path}", remedy=remedy)
    if begin_with is not None and path.exists():
        raise BundleError(f"{path} is there already, and --encoder can be given for a new bundle only; leave it out")


def _answer(service: Service, access: Access, listener: socket.socket) -> None:
    config = uvicorn.Config(
        Guard(build_app(service), access),
        log_config=None,
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        ws="none",
        lifespan="on",
        http=BoundedConnection,
        backlog=_BACKLOG,
        timeout_graceful_shutdown=_LAST_ANSWERS_SECONDS,
    )
    uvicorn.Server(config).run(sockets=[listener])


class BoundedConnection(H11Protocol):
    """A connection that is ended if its request's headers do not come in time, or it is one too many.

    Each costs a file handle, whether or not a request with a token comes.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin; if there are too many, end the one that has waited longest."""
        super().connection_made(transport)
        self._await_request()
        there: Any = [each for each in self.connections if not each.transport.is_closing()]
        if len(there) > most_connections():
            min((each for each in there if each._is_asking()), key=BoundedConnection._ends_at).transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take in a part of a request, which must be whole in time."""
        super().data_received(data)
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._end_deadline()
        super().connection_lost(exc)

    def _is_asking(self) -> bool:
        """Return whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def _ends_at(self) -> float:
        return self._deadline.when() if self._deadline is not None else self.loop.time() + _ASK_SECONDS

    def _await_request(self) -> None:
        if not self._is_asking():
            self._end_deadline()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(_ASK_SECONDS, self.transport.abort)

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def most_connections() -> int:
    """Return how many connections there may be, given how many files this process may have open."""
    files: Any = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    left = _MOST_CONNECTIONS if files == resource.RLIM_INFINITY else files - _BACKLOG - _OTHER_FILES
    return max(16, min(_MOST_CONNECTIONS, left))


@contextmanager
def _signals_interrupt() -> Iterator[None]:
    """Let SIGINT and SIGTERM raise KeyboardInterrupt before and after the server, which has its own handlers."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _uninterrupted_end() -> Iterator[None]:
    try:
        yield
    finally:
        for number in _ENDING:
            signal.signal(number, signal.SIG_IGN)


class _SeldomLog(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes at most three messages of one kind a minute, and a hundred lines of all kinds; counts the rest."""

    def __init__(self) -> None:
        super().__init__()
        self.setLevel(logging.WARNING)
        self._since = time.monotonic()
        self._lines = self._left_out = 0
        self._seen: Counter[tuple[str, str]] = Counter()

    def format(self, record: logging.LogRecord) -> str:
        """Return the text, after the number of messages that were left out before it."""
        before = f"({self._left_out} messages like those before were left out)\n" if self._left_out else ""
        text = printable_lines(before + super().format(record))
        self._left_out = 0
        self._lines += text.count("\n") + 1
        return text

    def emit(self, record: logging.LogRecord) -> None:
        """Write the message, or count it."""
        if time.monotonic() - self._since > _LOG_SECONDS:
            self._since, self._lines = time.monotonic(), 0
            self._seen.clear()
        kind = record.name, str(record.msg)[:80]
        self._seen[kind] += 1
        if self._seen[kind] > _SAME_LINES_AT_MOST or self._lines > _LINES_AT_MOST:
            self._left_out += 1
        else:
            super().emit(record)


@contextmanager
def service_log() -> Iterator[None]:
    """Let all loggers write to the service's log."""
    log = _SeldomLog()
    logging.getLogger().addHandler(log)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(log)
