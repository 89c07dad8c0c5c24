"""Which video goes into which shard. A plan only ever grows, so that a shard once planned keeps its place."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_args

from essential.files.atomic import sha256_of_json
from essential.protocols.protocol import Split, Video

VideoId = tuple[Split, str]


@dataclass(frozen=True)
class Shard:
    """One file of a store: videos of one split, in order. `index` is its place in the plan."""

    index: int
    split: Split
    keys: tuple[str, ...]

    @cached_property
    def name(self) -> str:
        """The file's name, without suffix. It holds a hash of the keys: other videos, another name."""
        return f"{self.split}-{self.index:05d}-{sha256_of_json([self.split, list(self.keys)])[:8]}"

    @property
    def ids(self) -> list[VideoId]:
        """The videos' ids, in row order."""
        return [(self.split, key) for key in self.keys]


def video_id(video: Video) -> VideoId:
    """Return what names a video in a store: one key may be a training video here and a test video there."""
    return video.split, video.key


def shards_for(
    plan: Sequence[Shard], wanted: Sequence[VideoId], *, shard_videos: int, is_done: Callable[[Shard], bool]
) -> tuple[tuple[Shard, ...], tuple[Shard, ...]]:
    """Give each wanted video a shard, planning new ones where none can serve.

    A finished shard serves any of its videos. An unfinished one serves if all of its videos are wanted: only then can
    it be computed from them. New shards hold the rest, sorted by split and key, whatever order they are wanted in.

    Returns:
        The plan, longer or as it was, and the shards that serve the wanted videos.
    """
    asked: dict[Split, set[str]] = {"train": set(), "test": set()}
    for split, key in wanted:
        asked[split].add(key)
    served: dict[Split, set[str]] = {split: set() for split in asked}
    used = []
    touched = [shard for shard in plan if not asked[shard.split].isdisjoint(shard.keys)]
    finished = [shard for shard in touched if is_done(shard)]
    possible = [shard for shard in touched if asked[shard.split].issuperset(shard.keys)]
    for shard in (*finished, *possible):
        if not served[shard.split].issuperset(asked[shard.split].intersection(shard.keys)):
            used.append(shard)
            served[shard.split].update(shard.keys)
    new: list[Shard] = []
    for split, keys in asked.items():
        left = sorted(keys - served[split])
        for start in range(0, len(left), shard_videos):
            new.append(Shard(len(plan) + len(new), split, tuple(left[start : start + shard_videos])))
    return (*plan, *new), (*sorted(used, key=lambda shard: shard.index), *new)


def plan_to_json(plan: Sequence[Shard]) -> list[dict[str, Any]]:
    """Return the plan as JSON values."""
    return [{"name": shard.name, "split": shard.split, "videos": list(shard.keys)} for shard in plan]


def plan_from_json(content: Any) -> tuple[Shard, ...]:
    """Return the plan that `plan_to_json` wrote.

    Raises:
        ValueError, KeyError, TypeError: it is something else.
    """
    if not isinstance(content, list):
        raise TypeError(f"it holds a JSON {type(content).__name__}, not an array of shards")
    return tuple(_shard(index, **entry) for index, entry in enumerate(content))


def _shard(index: int, *, name: str, split: Split, videos: Sequence[str]) -> Shard:
    if split not in get_args(Split) or not isinstance(videos, list) or not all(isinstance(key, str) for key in videos):
        raise ValueError(f"shard {name!r} does not name videos of a split")
    shard = Shard(index, split, tuple(videos))
    if not videos or shard.name != name:
        raise ValueError(f"shard {name!r} does not hold the videos it is named for")
    return shard
