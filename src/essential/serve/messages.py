"""What goes between the web process and its workers, through pipes; nothing heavy is needed to read it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
class Progress:
    """How far a lesson is: steps of a phase; `total` is 0 while it is not known."""

    title: str
    done: int
    total: int
    note: str = ""


@dataclass(frozen=True)
class Knowledge:
    """What a bundle knows and keeps.

    Attributes:
        classes: with the number of clips that each was taught from, in order of arrival.
        memory: (kind, what, bytes) of all that is kept of clips.
        encoder: its name.
        method: likewise.
        lessons: how many were given.
    """

    classes: Mapping[str, int]
    memory: tuple[tuple[str, str, int], ...]
    encoder: str
    method: str
    lessons: int


@dataclass(frozen=True)
class LessonResult:
    """What a lesson gave.

    Attributes:
        clips: that were learned from, or held out.
        left_out: why others were not, by their place in the lesson, from 0.
        held_out_accuracy: on all clips held out so far; None without any.
        knowledge: what is known now.
    """

    clips: int
    left_out: Mapping[int, str]
    held_out_accuracy: float | None
    knowledge: Knowledge


# A prediction in JSON values, with its frames as data URIs.
PredictionJson = dict[str, Any]
