"""Progress of long work, however it is shown."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from essential.errors import InUseError

_PAUSE_SECONDS = 1.0
_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class Progress:
    """One phase at a time: `start`, any number of `advance`, `finish`. This class shows nothing."""

    def start(self, title: str, total: int) -> None:
        """Begin a phase of `total` steps; 0: not known yet."""

    def advance(self, done: int, note: str = "", *, total: int | None = None) -> None:
        """Set the number of steps done; `total` corrects the number of all."""

    def finish(self) -> None:
        """End the phase, if there is one."""

    def say(self, note: str) -> None:
        """Show a note at once, such as what is skipped or waited for."""


QUIET = Progress()


def when_free(
    progress: Progress, work: Callable[_Arguments, _Result], /, *args: _Arguments.args, **settings: _Arguments.kwargs
) -> _Result:
    """Call `work` again as long as another process holds what it needs, and show which one it waits for."""
    reason = ""
    while True:
        try:
            return work(*args, **settings)
        except InUseError as error:
            if reason != (reason := str(error)):
                progress.say(f"waiting: {reason}")
            time.sleep(_PAUSE_SECONDS)


@contextmanager
def phase(progress: Progress, title: str, total: int) -> Iterator[Progress]:
    """Start a phase of `progress`, and finish it however the block ends."""
    progress.start(title, total)
    try:
        yield progress
    finally:
        progress.finish()
