"""How long work says how far it is, without knowing who is looking."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from essential.errors import InUseError

_PAUSE_SECONDS = 1.0
_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class Progress:
    """One phase at a time: `start`, any number of `advance`, `finish`. This one says nothing."""

    def start(self, title: str, total: int) -> None:
        """Begin a phase of `total` steps; 0 if the number is not known yet."""

    def advance(self, done: int, note: str = "", *, total: int | None = None) -> None:
        """Say that `done` steps of the phase are done; `total` corrects the number of steps."""

    def finish(self) -> None:
        """End the phase; without a phase it does nothing."""

    def say(self, note: str) -> None:
        """Tell something at once, such as what is passed over or waited for."""


def when_free(
    told: Progress, work: Callable[_Arguments, _Result], /, *args: _Arguments.args, **settings: _Arguments.kwargs
) -> _Result:
    """Do `work`, again and again as long as another process holds what it needs, and say which one it waits for."""
    reason = ""
    while True:
        try:
            return work(*args, **settings)
        except InUseError as error:
            if reason != (reason := str(error)):
                told.say(f"waiting: {reason}")
            time.sleep(_PAUSE_SECONDS)


@contextmanager
def phase(progress: Progress, title: str, total: int) -> Iterator[None]:
    """Start a phase, and finish it however the work inside ends."""
    progress.start(title, total)
    try:
        yield
    finally:
        progress.finish()
