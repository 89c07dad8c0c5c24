"""The service's log, on standard error: no message floods it, and nothing in one steers a terminal."""

import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from essential.shown import printable_lines

_SECONDS = 60
_SAME_AT_MOST = 3
_LINES_AT_MOST = 100


class SeldomLog(logging.StreamHandler):  # type: ignore[type-arg]
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
        if time.monotonic() - self._since > _SECONDS:
            self._since, self._lines = time.monotonic(), 0
            self._seen.clear()
        kind = record.name, str(record.msg)[:80]
        self._seen[kind] += 1
        if self._seen[kind] > _SAME_AT_MOST or self._lines > _LINES_AT_MOST:
            self._left_out += 1
        else:
            super().emit(record)


@contextmanager
def service_log() -> Iterator[None]:
    """Let all loggers write to such a log."""
    log = SeldomLog()
    log.setLevel(logging.WARNING)
    logging.getLogger().addHandler(log)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(log)
