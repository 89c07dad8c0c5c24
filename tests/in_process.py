"""How a command line that ran inside the test's process ended."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """The exit code, and what was printed where."""

    code: int
    out: str
    err: str


Essential = Callable[..., Outcome]
