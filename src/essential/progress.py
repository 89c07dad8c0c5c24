"""How long work says how far it is, without knowing who is looking."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable


@runtime_checkable
class Progress(Protocol):
    """One phase at a time: `start`, any number of `advance`, `finish`."""

    def start(self, title: str, total: int) -> None:
        """Begin a phase of `total` steps; 0 if the number is not known yet."""
        ...

    def advance(self, done: int, note: str = "", *, total: int | None = None) -> None:
        """Say that `done` steps of the phase are done; `total` corrects the number of steps."""
        ...

    def finish(self) -> None:
        """End the phase; without a phase it does nothing."""
        ...

    def say(self, note: str) -> None:
        """Tell something on the way, between phases."""
        ...


class SilentProgress:
    """Says nothing."""

    def start(self, title: str, total: int) -> None:
        """Say nothing."""

    def advance(self, done: int, note: str = "", *, total: int | None = None) -> None:
        """Say nothing."""

    def finish(self) -> None:
        """Say nothing."""

    def say(self, note: str) -> None:
        """Say nothing."""


@contextmanager
def phase(progress: Progress, title: str, total: int) -> Iterator[None]:
    """Start a phase, and finish it however the work inside ends."""
    progress.start(title, total)
    try:
        yield
    finally:
        progress.finish()
