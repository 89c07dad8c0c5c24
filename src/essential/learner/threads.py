"""Threads around a learner: those that use one take turns, and one reads what is asked ahead of the answers."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import wraps
from queue import Empty, Queue
from threading import Event, Thread
from typing import Any, Generic, NamedTuple, TypeVar, cast

from essential.engine.turns import turn

Method = TypeVar("Method", bound=Callable[..., Any])
Item = TypeVar("Item")


def in_turn(method: Method) -> Method:
    """Run a method in a turn, with the number of threads that its object's config gives."""

    @wraps(method)
    def in_its_turn(self: Any, *args: Any, **kwargs: Any) -> Any:
        with turn(self.config.training.threads):
            return method(self, *args, **kwargs)

    return cast(Method, in_its_turn)


class _Entry(NamedTuple):
    """The next item, or the end, with the error that it came by."""

    item: object = None
    is_end: bool = False
    error: BaseException | None = None


class Arrivals(Generic[Item]):
    """Gives the items of an iterable in their order; the iterable runs in a thread of its own.

    Close it to have the thread end as soon as the iterable gives an item or ends; one that waits for ever ends with the
    process.

    Args:
        source: the iterable; its errors are raised where this one is read.
        ahead: how many items, one at least, are drawn before they are asked for.
    """

    def __init__(self, source: Iterable[Item], *, ahead: int) -> None:
        self._entries: Queue[_Entry] = Queue(ahead)
        self._head: _Entry | None = None
        self._closed = Event()
        Thread(target=self._draw, args=(source,), daemon=True).start()

    def __iter__(self) -> Iterator[Item]:
        """Wait for each item and yield it."""
        while True:
            self._head = self._head or self._entries.get()
            if self._head.error is not None:
                raise self._head.error
            if self._head.is_end:
                return
            item, self._head = self._head.item, None
            yield item  # type: ignore[misc]

    def is_next_known(self) -> bool:
        """Return whether the next item is there, or the end, so that nobody has to wait for it.

        An error does not count: work begun before it can be finished first.
        """
        with suppress(Empty):
            self._head = self._head or self._entries.get_nowait()
        return self._head is not None and self._head.error is None

    def close(self) -> None:
        """Ask the thread to end."""
        self._closed.set()
        with suppress(Empty):
            self._entries.get_nowait()

    def _draw(self, source: Iterable[Item]) -> None:
        end = _Entry(is_end=True)
        try:
            for item in source:
                self._entries.put(_Entry(item))
                if self._closed.is_set():
                    return
        except BaseException as error:  # whatever it is, it is for the reader
            end = _Entry(is_end=True, error=error)
        self._entries.put(end)
