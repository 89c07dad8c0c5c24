"""The service from its start to its end: worker processes, the folder of uploads, the log, the web server."""

import logging
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from types import FrameType

import uvicorn

from essential.errors import BundleError
from essential.files.atomic import file_lock
from essential.serve.access import Access, Guard
from essential.serve.app import build_app
from essential.serve.connections import BACKLOG, BoundedConnection
from essential.serve.messages import Setup
from essential.serve.service import Service
from essential.serve.uploads import upload_root
from essential.shown import printable_lines

# For what is on its way when the service is told to end.
_LAST_ANSWERS_SECONDS = 5
_ENDING = (signal.SIGINT, signal.SIGTERM)
# Of one kind and of all kinds, before what goes to the log is counted instead.
_LOG_SECONDS = 60
_SAME_LINES_AT_MOST = 3
_LINES_AT_MOST = 100


def serve(setup: Setup, access: Access, *, announce: Callable[[str], None]) -> None:
    """Serve a bundle until a signal says to end (Ctrl-C), which is how it is meant to.

    Args:
        setup: the bundle and the limits.
        access: where to listen, and to whom.
        announce: told the address of the page when it can be asked for.

    Raises:
        BundleError: the bundle is missing, or cannot be used.
        InUseError: another process holds it.
        ServiceError: the workers cannot start, or the address is taken.
    """
    refuse_missing(setup)
    with (
        suppress(KeyboardInterrupt),
        _signals_end_it(),
        service_log(),
        file_lock(setup.bundle),
        access.listen() as listener,
        upload_root() as uploads,
        closing(Service(setup, uploads)) as service,
        _nothing_breaks_off_the_end(),
    ):
        service.start()
        announce(access.url(listener.getsockname()[1]))
        _answer(service, access, listener)


def refuse_missing(setup: Setup) -> None:
    """Refuse a bundle that is missing if none is to be begun, or the reverse.

    Raises:
        BundleError: it says what to do.
    """
    path, begin_with = setup.bundle, setup.begin_with
    if path.is_dir():
        raise BundleError(f"{path} is a folder; give the file of a bundle")
    if begin_with is None and not path.exists():
        raise BundleError(
            f"there is no bundle {path}; begin an empty one with --encoder NAME, such as clip-vit-b16 or tiny, or "
            "check the name"
        )
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
        backlog=BACKLOG,
        timeout_graceful_shutdown=_LAST_ANSWERS_SECONDS,
    )
    uvicorn.Server(config).run(sockets=[listener])


@contextmanager
def _signals_end_it() -> Iterator[None]:
    """Let the signals that say to end raise KeyboardInterrupt, but where the server's own handlers are in place.

    Those end the server, which then raises the signal once more, to this one.
    """

    def end(_: int, __: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, end) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _nothing_breaks_off_the_end() -> Iterator[None]:
    try:
        yield
    finally:
        for number in _ENDING:
            signal.signal(number, signal.SIG_IGN)


class _SeldomLog(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes a message of one kind three times a minute at most, and a hundred lines of all kinds; counts the rest."""

    def __init__(self) -> None:
        super().__init__()
        self._since = time.monotonic()
        self._lines = self._left_out = 0
        self._seen: Counter[tuple[str, str]] = Counter()

    def format(self, record: logging.LogRecord) -> str:
        """Return what is written, with how many messages were left out before it."""
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
    """Let all loggers write to such a log."""
    log = _SeldomLog()
    log.setLevel(logging.WARNING)
    logging.getLogger().addHandler(log)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(log)
