"""What is sent comes in order and as it comes; an error waits until what came before it is done."""

import threading
import time
from collections.abc import Callable, Iterator
from queue import Queue

import pytest

from essential.learner.arrivals import Arrivals


def _soon(true: Callable[[], bool]) -> bool:
    for _ in range(500):
        if true():
            return True
        time.sleep(0.01)
    return False


def test_items_come_in_order_and_few_are_drawn_ahead() -> None:
    drawn = []

    def source() -> Iterator[int]:
        for number in range(20):
            drawn.append(number)
            yield number

    arrivals = iter(Arrivals(source(), ahead=2))
    assert [next(arrivals) for _ in range(5)] == list(range(5))
    assert len(drawn) <= 5 + 2 + 1
    assert list(arrivals) == list(range(5, 20))


def test_it_is_told_whether_the_next_must_be_waited_for() -> None:
    sent: Queue[int | None] = Queue()
    arrivals = Arrivals(iter(sent.get, None), ahead=1)
    items = iter(arrivals)
    assert not arrivals.is_next_known()
    sent.put(1)
    assert _soon(arrivals.is_next_known)
    assert next(items) == 1
    assert not arrivals.is_next_known()
    sent.put(None)
    # That there is none is known as well.
    assert _soon(arrivals.is_next_known)
    assert list(items) == []
    assert arrivals.is_next_known()


def test_an_error_is_for_whoever_reads_and_is_not_hurried_to() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise OSError("the list is gone")

    arrivals = Arrivals(source(), ahead=4)
    items = iter(arrivals)
    assert next(items) == 1
    assert _soon(lambda: arrivals._entries.qsize() == 1)
    assert not arrivals.is_next_known()
    with pytest.raises(OSError, match="the list is gone"):
        next(items)


def test_the_thread_ends_with_what_it_reads_when_it_is_closed() -> None:
    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    arrivals = Arrivals(endless(), ahead=3)
    assert next(iter(arrivals)) == 1
    assert not closed.is_set()
    arrivals.close()
    assert closed.wait(5)
