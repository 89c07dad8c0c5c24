"""What is learned, in which order: videos, tasks and the protocol that holds them. Names and numbers only."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from essential.atomic_files import sha256_of_json
from essential.errors import ConfigError
from essential.seeding import numpy_generator

Split = Literal["train", "test"]


@dataclass(frozen=True, slots=True)
class Video:
    """One labelled video file.

    `key` names it inside its data set (its path relative to the root, with `/`); it is unique, and is what
    stores, memories and records keep. `path` is where the file is on this machine.
    """

    key: str
    path: Path
    label: str
    split: Split


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

    @cached_property
    def slots(self) -> dict[str, int]:
        """Each class's place in order of arrival: a row of the head."""
        return {name: slot for slot, name in enumerate(name for task in self.tasks for name in task.classes)}

    @cached_property
    def videos(self) -> tuple[Video, ...]:
        """All videos: task by task, training before test."""
        return tuple(video for task in self.tasks for video in (*task.train, *task.test))

    @cached_property
    def id(self) -> str:
        """A hash of the tasks, their classes in order, and every video's key, label and split."""
        content = [
            [list(task.classes), [[v.key, v.label, v.split] for v in (*task.train, *task.test)]] for task in self.tasks
        ]
        return sha256_of_json(content)[:16]


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


def order_classes(classes: Sequence[str], order_seed: int | None) -> list[str]:
    """Return the classes sorted by name, then shuffled with `order_seed` unless it is None."""
    ordered = sorted(classes)
    if order_seed is not None:
        permutation = numpy_generator("class order", order_seed).permutation(len(ordered))
        ordered = [ordered[index] for index in permutation]
    return ordered


def build_protocol(
    name: str,
    videos: Sequence[Video],
    *,
    tasks: int,
    base_classes: int | None = None,
    order_seed: int | None = None,
) -> Protocol:
    """Group labelled videos into a protocol; inside a task the videos are sorted by key.

    Raises:
        ConfigError: the classes cannot be cut into that many tasks.
    """
    by_class: dict[str, dict[Split, list[Video]]] = {}
    for video in sorted(videos, key=lambda video: video.key):
        by_class.setdefault(video.label, {"train": [], "test": []})[video.split].append(video)
    groups = split_classes(order_classes(list(by_class), order_seed), tasks=tasks, base_classes=base_classes)
    return Protocol(
        name,
        tuple(
            Task(
                index,
                group,
                tuple(video for label in group for video in by_class[label]["train"]),
                tuple(video for label in group for video in by_class[label]["test"]),
            )
            for index, group in enumerate(groups)
        ),
    )
