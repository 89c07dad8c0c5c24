"""What is learned, in which order: videos, tasks and the protocol that holds them. Names and numbers only."""

import gc
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import Literal, NamedTuple

from essential.errors import ConfigError
from essential.files.atomic import canonical_json
from essential.protocols.class_names import alike
from essential.protocols.class_order import OrderRule, order_classes
from essential.protocols.passed_over import PassedOver

Split = Literal["train", "test"]


class Segment(NamedTuple):
    """A part of a video: from `start_seconds`, included, to `end_seconds`, excluded; its first picture is at 0."""

    start_seconds: float
    end_seconds: float


class Video(NamedTuple):
    """One labelled video: a whole file or folder of frames, or a segment of it.

    `key` names it inside its data set (its path relative to the root, or its name in the list); it is unique, and is
    what stores, memories and records keep. `file` is where it is on this machine, as text: a data set holds hundreds of
    thousands.
    """

    key: str
    file: str
    label: str
    split: Split
    segment: Segment | None = None

    @property
    def path(self) -> Path:
        """Where the file, or the folder of frames, is on this machine."""
        return Path(self.file)


@dataclass(frozen=True)
class Listing:
    """What a data set holds, before it is cut into tasks.

    Attributes:
        videos: those of training and test.
        classes: in the data set's own order, in which a class's place is its number there.
        groups: the classes of each task in order, where the list itself fixes them.
        sha256: of the list's content, where there is a list.
        passed_over: what else is where the videos are.
    """

    videos: Sequence[Video]
    classes: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...] | None = None
    sha256: str | None = None
    passed_over: PassedOver = field(default_factory=PassedOver)

    @classmethod
    def by_name(cls, videos: Sequence[Video], passed_over: PassedOver | None = None) -> "Listing":
        """Return a listing whose classes are those of the videos, by name."""
        classes = tuple(sorted({video.label for video in videos}))
        return cls(videos, classes, passed_over=passed_over or PassedOver())

    @property
    def notes(self) -> list[str]:
        """What whoever gave the videos should know: what is passed over, and which names of classes are much alike."""
        return [note for note in (self.passed_over.line, *alike(self.classes)) if note]


@dataclass(frozen=True)
class Task:
    """Classes that arrive together, with their videos. `index` counts from 0."""

    index: int
    classes: tuple[str, ...]
    train: tuple[Video, ...]
    test: tuple[Video, ...]


@dataclass(frozen=True)
class Protocol:
    """A named sequence of tasks with disjoint classes; `list_sha256` is the hash of the list that it comes from.

    `passed_over` says how many files beside the videos were not taken, by reason.
    """

    name: str
    tasks: tuple[Task, ...]
    list_sha256: str | None = None
    passed_over: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def slots(self) -> dict[str, int]:
        """Each class's place in order of arrival: a row of the head."""
        return {name: slot for slot, name in enumerate(name for task in self.tasks for name in task.classes)}

    @cached_property
    def videos(self) -> tuple[Video, ...]:
        """All videos: task by task, training before test."""
        return tuple(video for task in self.tasks for video in (*task.train, *task.test))

    def longest_names(self) -> list[str]:
        """Return, class by class, the longest key of its training videos: names take room in a memory too."""
        longest: dict[str, str] = {}
        for task in self.tasks:
            for video in task.train:
                if len(video.key.encode()) > len(longest.get(video.label, "").encode()):
                    longest[video.label] = video.key
        return [longest.get(name, "") for name in self.slots]

    @cached_property
    def id(self) -> str:
        """A hash of the tasks, their classes in order, and every video's key, label and split."""
        # The JSON of all of it, made and hashed task by task: it may be tens of megabytes.
        digest = hashlib.sha256(b"[")
        with paused_collector():
            for place, task in enumerate(self.tasks):
                videos = [(v.key, v.label, v.split) for v in (*task.train, *task.test)]
                digest.update(f"{',' if place else ''}{canonical_json([task.classes, videos])}".encode())
        digest.update(b"]")
        return digest.hexdigest()[:16]


def split_classes(classes: Sequence[str], *, tasks: int, base_classes: int | None = None) -> list[tuple[str, ...]]:
    """Cut `classes` into `tasks` groups, the first of `base_classes` if given, the others as equal as can be.

    Where the classes do not divide evenly the earlier groups hold one class more (vCLIMB's UCF101: 11, then 9 x 10).

    Raises:
        ConfigError: there are fewer classes than tasks.
    """
    if tasks > len(classes):
        raise ConfigError(
            f"protocol.tasks={tasks} is more than the {len(classes)} classes found; use {len(classes)} at most"
        )
    groups = []
    rest = list(classes)
    if base_classes is not None:
        if base_classes < 1 or len(classes) - base_classes < tasks - 1 or (tasks == 1 and base_classes != len(classes)):
            raise ConfigError(
                f"protocol.base_classes={base_classes} with protocol.tasks={tasks} does not fit {len(classes)} "
                f"classes; leave at least one class for each of the other {tasks - 1} tasks"
            )
        groups.append(tuple(rest[:base_classes]))
        rest, tasks = rest[base_classes:], tasks - 1
    for index in range(tasks):
        size = len(rest) // (tasks - index) + (len(rest) % (tasks - index) > 0)
        groups.append(tuple(rest[:size]))
        rest = rest[size:]
    return groups


def build_protocol(
    name: str,
    listing: Listing,
    *,
    tasks: int | None = None,
    base_classes: int | None = None,
    order_seed: int | None = None,
    order_rule: OrderRule = "essential",
) -> Protocol:
    """Group a listing's videos into tasks; inside a task the videos stand class by class, sorted by key.

    A listing with several groups has its tasks and their order; otherwise the classes are ordered and cut.

    Raises:
        ConfigError: the classes cannot be cut into that many tasks, or the list fixes other tasks.
    """
    groups: Sequence[tuple[str, ...]]
    # A list of one task says which classes there are, and not how they arrive.
    if listing.groups is None or (len(listing.groups) == 1 and tasks is not None):
        if tasks is None:
            raise ConfigError("protocol.tasks is not given; say into how many tasks: -s protocol.tasks=N")
        ordered = order_classes(listing.classes, order_seed, order_rule)
        groups = split_classes(ordered, tasks=tasks, base_classes=base_classes)
    else:
        groups = listing.groups
        fixed = {"tasks": (tasks, len(groups)), "base_classes": (base_classes, len(groups[0]))}
        for setting, (asked, held) in fixed.items():
            if asked not in (None, held):
                raise ConfigError(
                    f"protocol.{setting}={asked}, but the list fixes its own tasks ({setting}={held}); leave it out"
                )
    by_class: dict[tuple[str, Split], list[Video]] = {}
    for video in listing.videos:
        by_class.setdefault((video.label, video.split), []).append(video)

    def of(group: Sequence[str], split: Split) -> tuple[Video, ...]:
        return tuple(
            video for label in group for video in sorted(by_class.get((label, split), ()), key=attrgetter("key"))
        )

    built = (Task(index, group, of(group, "train"), of(group, "test")) for index, group in enumerate(groups))
    return Protocol(name, tuple(built), listing.sha256, listing.passed_over.counts)


@contextmanager
def paused_collector() -> Iterator[None]:
    """Let the collector rest inside. Each of its rounds walks all that is there: half the time of opening a long list.

    What a list is made of holds no cycles, so nothing is there to collect. Inside another pause it does nothing.
    """
    was_running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_running:
            gc.enable()
