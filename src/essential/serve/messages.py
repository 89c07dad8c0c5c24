"""What goes between the web process and its workers, through pipes; nothing heavy is needed to read it.

The API's answers are made of the same parts.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from essential.errors import EssentialError
from essential.serve.limits import Limits


@dataclass(frozen=True)
class Setup:
    """What a worker holds.

    Attributes:
        bundle: the file that its learner is read from.
        overrides: of the bundle's settings, for this machine.
        begin_with: the encoder of an empty bundle, which is made if there is none; None: there must be one.
        limits: what a clip may be.
        spare_cores: how many of the machine's it leaves to others, where there are more.
    """

    bundle: Path
    overrides: tuple[str, ...]
    begin_with: str | None
    limits: Limits
    spare_cores: int = 0


@dataclass(frozen=True)
class Predict:
    """Say what a clip shows."""

    clip: Path
    top_k: int


@dataclass(frozen=True)
class Teach:
    """Learn a class from clips, all in one folder, and write the bundle that knows it to `target`."""

    name: str
    clips: tuple[Path, ...]
    more_of_known: bool
    target: Path


@dataclass(frozen=True)
class Forget:
    """Forget a class, and write the bundle that does not know it to `target`."""

    name: str
    target: Path


@dataclass(frozen=True)
class Reload:
    """Read the bundle again."""


Request = Predict | Teach | Forget | Reload


@dataclass(frozen=True)
class Step:
    """How far a lesson is: steps of a phase; `total` is 0 while it is not known."""

    title: str
    done: int
    total: int
    note: str


@dataclass(frozen=True)
class KnownClass:
    """A class, and how many clips it was taught from."""

    name: str
    clips: int


@dataclass(frozen=True)
class Kept:
    """One thing that is kept of clips, in bytes."""

    kind: str
    name: str
    bytes: int


@dataclass(frozen=True)
class Knowledge:
    """What a bundle knows, in order of arrival, and all that it keeps of clips."""

    classes: tuple[KnownClass, ...]
    memory: tuple[Kept, ...]
    encoder: str
    method: str
    lessons: int

    @property
    def names(self) -> list[str]:
        """Of the classes."""
        return [known.name for known in self.classes]


@dataclass(frozen=True)
class LeftOut:
    """A clip that a lesson went on without, by its place in the request, from 1, and why."""

    clip: int
    reason: str


@dataclass(frozen=True)
class Learned:
    """What a lesson gave. `held_out_accuracy` is that on all clips held out so far."""

    clips: int
    left_out: tuple[LeftOut, ...]
    held_out_accuracy: float | None


# What a change of the bundle gives, with what is known then.
Change = tuple[Knowledge, Learned | None]
# A prediction in JSON values, with its frames as data URIs.
PredictionJson = dict[str, Any]


class Refusal(EssentialError):
    """A request cannot be answered.

    Args:
        status: of the HTTP answer.
        code: names the reason to programs; it never changes.
        message: what was wrong, what is allowed, what to do, for people.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
