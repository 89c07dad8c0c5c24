"""Who else is told what a run logs, beside `RUN/log.jsonl`, which stays the truth."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Sink(Protocol):
    """Gets the events of a run: `start` once, then `write` for each. None of them may raise.

    The step of an event is the number of its line in the log, from 0. A run that is gone on with is cut back to what it
    last saved, so events may come again under the steps that they had before.
    """

    def start(self, folder: Path, config: Mapping[str, Any], *, first_step: int) -> None:
        """Say which run it is, with which settings, and the step of the event that comes next."""
        ...

    def write(self, step: int, event: Mapping[str, Any]) -> None:
        """Take an event, as it stands in the log."""
        ...
