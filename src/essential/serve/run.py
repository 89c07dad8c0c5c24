"""The service from its start to its end: worker processes, the folder of uploads, the web server."""

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from types import FrameType

import uvicorn

from essential.atomic_files import file_lock
from essential.errors import BundleError
from essential.serve.access import Access
from essential.serve.app import build_app
from essential.serve.connections import BACKLOG, BoundedConnection
from essential.serve.guard import Guard
from essential.serve.messages import Setup
from essential.serve.service import Service
from essential.serve.service_log import service_log
from essential.serve.uploads import upload_root

# For what is on its way when the service is told to end.
_LAST_ANSWERS_SECONDS = 5


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
    signals = _Signals()
    with (
        signals.handled(),
        suppress(KeyboardInterrupt),
        service_log(),
        file_lock(setup.bundle),
        access.listen() as listener,
        upload_root() as uploads,
        closing(Service(setup, uploads)) as service,
    ):
        service.start()
        signals.is_starting = False
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
            f"there is no bundle {path}; begin an empty one with --encoder NAME, such as clip-vit-b16 or tiny, or mend "
            "the name"
        )
    if begin_with is not None and path.exists():
        raise BundleError(f"{path} is there already, and --encoder can be given for a new bundle only; leave it out")


def _answer(service: Service, access: Access, listener: socket.socket) -> None:
    guard = Guard(build_app(service), hosts=access.hosts, any_address=not access.is_loopback, token=access.token)
    config = uvicorn.Config(
        guard,
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


class _Signals:
    """Takes down the signals that say to end.

    While the server runs, its own handlers end it, and it then raises the signal once more, to this one. A signal
    before that breaks off the start. Nothing breaks off the end.
    """

    def __init__(self) -> None:
        self.is_starting = True

    @contextmanager
    def handled(self) -> Iterator[None]:
        before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, _: int, __: FrameType | None) -> None:
        if self.is_starting:
            self.is_starting = False
            raise KeyboardInterrupt
