"""The connections of the service: how many there are, and how long one may take to ask.

A connection without a request costs a file handle, and no token is asked before there is one. So their number stays
below the process's limit: where there are too many, the one that has waited longest without a whole request is ended.
"""

import asyncio
import resource
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

# Connections that are taken from the queue at once, before the first of them is looked at.
BACKLOG = 64
# For pipes, uploads, listeners, and clips that are read.
_OTHER_FILES = 64
_MOST = 1000
_ASK_SECONDS = 10.0


class BoundedConnection(H11Protocol):
    """A connection that is ended where its request's headers do not come, or it is one too many."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, and end another connection that asks for nothing if there are too many."""
        super().connection_made(transport)
        self._await_request()
        there = [each for each in self.connections if isinstance(each, BoundedConnection)]
        there = [each for each in there if not each.transport.is_closing()]
        if len(there) > most_connections():
            asking = (each for each in there if each._is_asking())
            min(asking, key=BoundedConnection._ends_at).transport.abort()

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
    return max(16, min(_MOST, files - BACKLOG - _OTHER_FILES)) if files != resource.RLIM_INFINITY else _MOST
