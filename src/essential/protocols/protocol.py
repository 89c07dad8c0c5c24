"""What is learned, in which order: videos, the order of classes, and the tasks that a listing is cut into.

Names and numbers only.
"""

import gc
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from essential.errors import ConfigError
from essential.files.atomic import canonical_json, sha256_of_json
from essential.protocols.class_names import alike
from essential.protocols.video_walk import PassedOver
from essential.remote.copies import local_copy
from essential.remote.storage import is_remote
from essential.seeding import numpy_generator

Split = Literal["train", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
OrderRule = Literal["essential", "tcd"]

_LARGEST_SEED = 2**32 - 1
# The orders of TCD's data sets (UCF101, HMDB51, SSv2) and seeds, by the SHA-256 of their JSON; published numbers depend
# on them.
_PINNED = {
    (101, 1000): "5a8d96805d2fc74e75f75e13e0e7352ee4f4da88bdb4224c963805c0f46c76e1",
    (101, 1993): "370141e0358a7a46ac1d433bf05fe7c107aa995bed8d4dc202fc8afd9d102bfc",
    (101, 2021): "f8cf294f956278ac25b298f567c880473054cda466692ce617caf5f2697276bf",
    (51, 1000): "ed691ff2402b69ac50668af4bcee521fe41097c75950e578d74552ab2e26ac48",
    (51, 1993): "59ceae3272e0bf25be13be5c537e1348c1a4b44fbf79db961a3ccec710977db2",
    (51, 2021): "2b6951578cf751a604677e031a1e9a9b67d8c5f084afe1db763d3b60f78f19cc",
    (174, 1000): "add42485f48b1c7d99179c13782e11c4bc952683fe2c9e672bd0f1430dade01d",
    (174, 1993): "f39d0d55ab792f2c98725c55565d1af9b413e2706104aeb4fa42e5492c45f7b9",
    (174, 2021): "c41cc2d7aef468b20d6aed37ebb568090d6ad74f6aab812edf2a70bce19a429a",
}


class Segment(NamedTuple):
    """A part of a video: from `start_seconds`, included, to `end_seconds`, excluded; its first frame is at 0."""

    start_seconds: float
    end_seconds: float


class Video(NamedTuple):
    """One labelled video: a whole file or folder of frames, or a segment of it."""

    key: str  # unique in its data set: the path relative to the root, or the name in the list; stores keep it
    file: str  # its path on this machine, or a storage's locator; text, since a data set holds hundreds of thousands
    label: str
    split: Split
    segment: Segment | None = None

    @property
    def path(self) -> Path:
        """Where the file, or the folder of frames, is on this machine; a ValueError if it is elsewhere: see `here`."""
        if is_remote(self.file):
            raise ValueError(f"{self.file} is not on this machine")
        return Path(self.file)

    @contextmanager
    def here(self) -> Iterator["Video"]:
        """Give the video with a file on this machine, a copy if it is elsewhere, for the time; see `local_copy`."""
        with local_copy(self.file, keep=self.segment is not None) as path:
            yield self._replace(file=str(path))


@dataclass(frozen=True)
class Listing:
    """The videos of a data set, before it is cut into tasks."""

    videos: Sequence[Video]
    classes: tuple[str, ...]  # in the data set's own order: a class's place is its number there
    groups: tuple[tuple[str, ...], ...] | None = None  # the classes of each task, where a list fixes them
    sha256: str | None = None  # of the list's content, where there is a list
    passed_over: PassedOver = field(default_factory=PassedOver)
    missing: frozenset[int] = frozenset()  # places in `videos` of those that are not on disk, where that was looked up
    others: Mapping[int, tuple[str, ...]] = field(default_factory=dict)  # more files that may be meant, by such a place

    @classmethod
    def by_name(cls, videos: Sequence[Video], passed_over: PassedOver | None = None) -> "Listing":
        """Return a listing whose classes are those of the videos, by name."""
        classes = tuple(sorted({video.label for video in videos}))
        return cls(videos, classes, passed_over=passed_over or PassedOver())

    @property
    def notes(self) -> list[str]:
        """What the owner of the videos should know: what was passed over, and which class names are much alike."""
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
    """A named sequence of tasks with disjoint classes."""

    name: str
    tasks: tuple[Task, ...]
    list_sha256: str | None = None  # of the list that it comes from
    passed_over: Mapping[str, int] = field(default_factory=dict)  # how many files were not taken, by reason

    @cached_property
    def slots(self) -> dict[str, int]:
        """Each class's place in order of arrival: a row of the head."""
        return {name: slot for slot, name in enumerate(name for task in self.tasks for name in task.classes)}

    @cached_property
    def videos(self) -> tuple[Video, ...]:
        """All videos: task by task, training before test."""
        return tuple(video for task in self.tasks for video in (*task.train, *task.test))

    def longest_names(self) -> list[str]:
        """Return the longest key among each class's training videos: keys take room in a memory too."""
        return longest_names((video.label, video.key) for task in self.tasks for video in task.train)

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


def longest_names(classes_and_names: Iterable[tuple[Any, str]]) -> list[str]:
    """Return, of the names of each class's clips, the one of most bytes; see `Method.check_room`."""
    longest: dict[Any, str] = {}
    for label, name in classes_and_names:
        longest[label] = max(longest.get(label, ""), name, key=lambda each: len(each.encode()))
    return [*longest.values()]


def order_classes(classes: Sequence[str], order_seed: int | None, rule: OrderRule = "essential") -> list[str]:
    """Return the classes in order of arrival.

    Args:
        classes: in the data set's own order, which only the rule `tcd` uses.
        order_seed: of the shuffle; None leaves them by name (`essential`) or in their own order (`tcd`).
        rule: `essential` shuffles the names, sorted; `tcd` shuffles the data set's class numbers as TCD does.
    """
    ordered = list(classes) if rule == "tcd" else sorted(classes)
    if order_seed is None:
        return ordered
    if rule == "tcd":
        return [ordered[index] for index in tcd_order(len(ordered), order_seed)]
    return [ordered[index] for index in numpy_generator("class order", order_seed).permutation(len(ordered))]


def tcd_order(classes: int, seed: int) -> list[int]:
    """Return the class numbers 0 to `classes - 1` in TCD's order of arrival (ICCV 2021, released code).

    TCD seeds numpy's global generator and shuffles in place; a generator of the same kind gives the same order.

    Raises:
        ConfigError: numpy does not take the seed, or gives another order than the one pinned by checksum.
    """
    if not 0 <= seed <= _LARGEST_SEED:
        raise ConfigError(
            f"protocol.order_seed={seed} is not allowed with protocol.order_rule=tcd; use 0 to {_LARGEST_SEED}"
        )
    numbers = np.arange(classes)
    np.random.RandomState(seed).shuffle(numbers)
    order = [int(number) for number in numbers]
    pinned, found = _PINNED.get((classes, seed)), sha256_of_json(order)
    if pinned not in (None, found):
        raise ConfigError(
            f"protocol.order_seed={seed}: numpy {np.__version__} orders {classes} classes otherwise than TCD did "
            f"(checksum {found[:12]}, pinned {pinned[:12]}); install another numpy, such as 2.4"
        )
    return order


def split_classes(classes: Sequence[str], *, tasks: int, base_classes: int | None = None) -> list[tuple[str, ...]]:
    """Cut `classes` into `tasks` groups, the first of `base_classes` if given, the others as equal as possible.

    Where the classes do not divide evenly the earlier groups hold one class more (vCLIMB's UCF101: 11, then 9 x 10).
    """
    count = len(classes)
    if tasks > count:
        raise ConfigError(f"protocol.tasks={tasks} is more than the {count} classes found; use {count} at most")
    if base_classes is not None and (
        base_classes < 1 or count - base_classes < tasks - 1 or (tasks == 1 and base_classes != count)
    ):
        raise ConfigError(
            f"protocol.base_classes={base_classes} with protocol.tasks={tasks} does not fit {count} "
            f"classes; leave at least one class for each of the other {tasks - 1} tasks"
        )
    sizes = [] if base_classes is None else [base_classes]
    rest, groups = count - sum(sizes), tasks - len(sizes)
    sizes += [rest // groups + (index < rest % groups) for index in range(groups)]
    return [tuple(classes[end - size : end]) for size, end in zip(sizes, accumulate(sizes), strict=True)]


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
    # A list of one task gives the classes, and not their order of arrival.
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
    """Pause the garbage collector: its rounds over all objects take half the time of opening a long list.

    What a list is made of holds no cycles, so nothing is there to collect. Inside another pause it does nothing.
    """
    was_running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_running:
            gc.enable()
