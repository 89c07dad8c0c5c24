"""One lesson: from clips of new classes to a method that knows them, with the engine that runs use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int

from essential.engine.clips import LabelledVideos, TaskClips, task_clips
from essential.engine.config import load_config, memory_section, with_overrides
from essential.engine.settings import RunConfig
from essential.errors import ConfigError, DataError
from essential.features.source import HeldSource
from essential.learner.held_out import HeldOut
from essential.methods import METHODS, build_method
from essential.methods.contract import Method
from essential.models.seeded import torch_generator
from essential.protocols.protocol import Protocol, Task, Video

# One clip in so many is held out, so that a class of few clips is learned from nearly all of them.
_CLIPS_PER_HELD_OUT = 5


def lesson_videos(clips: Mapping[str, Sequence[Path]], first_slot: int) -> list[Video]:
    """Return the clips as videos, each class under a slot of its own.

    A key is the class and the file's name, with a number where two files of a class have one name: it is what the
    memory keeps of where an exemplar came from.
    """
    videos = []
    for slot, (name, paths) in enumerate(clips.items(), start=first_slot):
        taken: set[str] = set()
        for path in paths:
            key = f"{name}/{path.name}".encode("utf-8", "replace").decode()
            if key in taken:
                key = f"{key}~{len(taken)}"
            taken.add(key)
            videos.append(Video(key, str(path), str(slot), "train"))
    return videos


def split_held_out(
    videos: Sequence[Video], *, most: Mapping[str, int], seed: int, lesson: int
) -> tuple[list[Video], list[Video]]:
    """Return the videos to train on and those to hold out: of each slot one in five at random, `most` of it at most."""
    generator = torch_generator(seed, "held out", lesson)
    trained, held = [], []
    for label in dict.fromkeys(video.label for video in videos):
        own = [video for video in videos if video.label == label]
        count = min(most[label], len(own) // _CLIPS_PER_HELD_OUT)
        order = torch.randperm(len(own), generator=generator).tolist()
        held += [own[place] for place in sorted(order[:count])]
        trained += [own[place] for place in sorted(order[count:])]
    return trained, held


@dataclass(frozen=True)
class Lessons:
    """The slots of the lessons before, and the new one's clips.

    Attributes:
        earlier: the slots of each lesson before.
        videos: of the new lesson, labelled with their slots.
        source: their features.
    """

    earlier: Sequence[range]
    videos: Sequence[Video]
    source: HeldSource

    @property
    def slots(self) -> range:
        """The new slots."""
        first = self.earlier[-1].stop if self.earlier else 0
        return range(first, first + len({video.label for video in self.videos}))

    def task(self) -> TaskClips:
        """Return the new clips as a method's task."""
        protocol = self._protocol()
        return task_clips(protocol, LabelledVideos(protocol, self.source), len(self.earlier), all_tasks=False)

    def held_out(self, videos: Sequence[Video]) -> HeldOut:
        """Return the features and slots of the videos that were held out."""
        table = LabelledVideos(self._protocol(), self.source).table(videos, 0)
        features = table.read(torch.arange(len(table))).numpy()
        with np.errstate(over="ignore"):
            stored = features.astype(np.float16)
        if not np.isfinite(stored).all():
            raise DataError(
                "the encoder gives features too large for float16, as which clips are held out; begin the bundle "
                "without such clips: held_out_per_class=0, or --held-out 0 on the command line"
            )
        return HeldOut(stored, table.slots.numpy().astype(np.int32))

    def _protocol(self) -> Protocol:
        old = [Task(index, tuple(map(str, slots)), (), ()) for index, slots in enumerate(self.earlier)]
        new = Task(len(old), tuple(map(str, self.slots)), tuple(self.videos), ())
        return Protocol("lessons", (*old, new))


def refuse_old_clips(config: RunConfig) -> None:
    """Refuse a method that no learner can teach.

    Raises:
        ConfigError: it needs all old clips again.
    """
    if METHODS[config.method.name].needs_all_tasks:
        raise ConfigError(
            f"the method {config.method.name!r} needs all old clips again for every new class, and a learner does not "
            "keep them; choose another method (`essential configs` lists them)"
        )


def method_for(config: RunConfig, *, dim: int, reserved_bytes: int) -> Method:
    """Return the config's method before its first task; something else takes `reserved_bytes` of its budget."""
    section = memory_section(config)
    budget = _budget(config)
    if section is not None and budget is not None:
        left = max(1, budget - reserved_bytes)
        config = with_overrides(config, [f"{section}.budget_bytes={left}"], "of the bundle")
    return build_method(config.method, dim=dim, frames=config.video.frames, seed=config.seed)


def longest_names(task: TaskClips, known: Int[np.ndarray, " exemplars"], names: Sequence[str]) -> list[str]:
    """Return the longest name that a memory may keep of each class: of the exemplars there are, and of new clips."""
    longest: dict[int, str] = {}
    old = zip(known.tolist(), names, strict=True)
    for slot, name in (*old, *((int(video.label), video.key) for video in task.videos)):
        longest[slot] = max(longest.get(slot, ""), name, key=len)
    return list(longest.values())


def most_held_out_bytes(config: RunConfig) -> int | None:
    """Return how many bytes the clips held out may take: a quarter of the budget; None without one."""
    budget = _budget(config)
    return None if budget is None else budget // 4


def with_budget(config: str, overrides: Sequence[str], method: str | None, budget_bytes: int) -> RunConfig:
    """Return the config with a budget in the place of a number of exemplars per class."""
    settings = load_config(config, overrides, method=method)
    section = memory_section(settings)
    if section is None:
        raise ConfigError(
            f"memory_budget_bytes={budget_bytes} caps nothing: the method {settings.method.name!r} keeps no exemplars; "
            "leave it out, or choose a method with a memory"
        )
    for override in overrides:
        if override.partition("=")[0].strip() in (f"{section}.budget_bytes", f"{section}.exemplars_per_class"):
            raise ConfigError(
                f"{override}: memory_budget_bytes={budget_bytes} stands in its place; give one of the two"
            )
    budget = [f"{section}.budget_bytes={budget_bytes}", f"{section}.exemplars_per_class=null"]
    return load_config(config, [*overrides, *budget], method=method)


def _budget(config: RunConfig) -> int | None:
    section = config.method if memory_section(config) == "method" else getattr(config.method, "base", None)
    budget: int | None = getattr(section, "budget_bytes", None)
    return budget
