"""The feature store: a folder of sealed shards, a plan that says which video is where, and its provenance.

    store.json                  format version, provenance, its fingerprint
    plan.json                   the shards in order, each with its videos; it only ever grows
    shards/<name>.safetensors   array "features" (videos, views, frames, dim), and a note on every video
    .index                      derived from the shards, to open the store at once; see `index.py`
    .bucket                     of a store in a bucket, whose mirror the folder is; see `mirror.py`

Every file appears whole or not at all. Training and test videos have shards of their own, as they differ in views.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import numpy as np
from jaxtyping import Float
from pydantic import ValidationError

from essential.configs.schema import Section
from essential.errors import StoreError
from essential.features.mirror import PLAN, STORE, Mirror, changed
from essential.features.provenance import differences
from essential.files.atomic import folder_lock, is_unused, remove_unfinished, sha256_of_json
from essential.files.sealed import read_sealed, read_sealed_header, write_sealed
from essential.files.untrusted import parse_json, read_bounded, read_json
from essential.protocols.protocol import Split, Video

FORMAT_VERSION = 1
_ARRAY = "features"

Features = Float[np.ndarray, "videos views frames dim"]
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


class VideoNote(Section):
    """What a shard says of one video: its size and hash, if there was something to read (see `identity_of`).

    `broken` says why the video could not be read; its features are then zeros. None if it could.
    """

    key: str
    size_bytes: int | None
    sha256: str | None
    broken: str | None


class ShardNote(Section):
    """The metadata of a shard: whose fingerprint it carries, and its videos in row order."""

    fingerprint: str
    split: Split
    videos: tuple[VideoNote, ...]


class FeatureStore:
    """One store folder, known to fit a provenance. Made by `open_store` or `create_store`."""

    def __init__(self, path: Path, fingerprint: str) -> None:
        self.path = path
        self.fingerprint = fingerprint
        self._mirror = Mirror.of(path)
        self._read: tuple[bytes, tuple[Shard, ...]] = (b"", ())

    def plan(self) -> tuple[Shard, ...]:
        """Return the shards planned so far, computed or not; a StoreError if the plan is damaged."""
        path = self.path / PLAN
        if not path.exists():
            return ()
        try:
            content = read_bounded(path)
            digest = hashlib.sha256(content).digest()  # of a million videos, what was read is 50 MB
            if digest != self._read[0]:
                self._read = digest, plan_from_json(parse_json(content))
            return self._read[1]
        except (OSError, ValueError, KeyError, TypeError) as cause:
            message = f"{path} is damaged ({cause}); delete the folder {self.path} and extract again"
            raise StoreError(message) from cause

    def plan_for(self, wanted: Sequence[VideoId], *, shard_videos: int) -> tuple[Shard, ...]:
        """Return the shards that serve the wanted videos, planning what no shard can serve."""
        plan = self.plan()
        longer, used = shards_for(plan, wanted, shard_videos=shard_videos, is_done=self.is_done)
        if longer == plan:
            return used

        def planned() -> list[dict[str, Any]] | None:
            nonlocal used
            plan = self.plan()
            longer, used = shards_for(plan, wanted, shard_videos=shard_videos, is_done=self.is_done)
            return None if longer == plan else plan_to_json(longer)

        with folder_lock(self.path, name=".plan-lock", wait=True):
            changed(self.path, PLAN, planned)
        return used

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Hold the store for work of that name, and remove what killed work has left; see `folder_lock`."""
        with folder_lock(self.path, name=name):
            # Under both locks, so that a killed planner's lock file goes too: a plan that is whole takes no lock.
            with folder_lock(self.path, name=".plan-lock", wait=True):
                for folder in (self.path, self.path / "shards"):
                    remove_unfinished(folder)
            yield

    def shard_path(self, shard: Shard) -> Path:
        """Return where a shard is, or will be."""
        return self.path / "shards" / f"{shard.name}.safetensors"

    def is_done(self, shard: Shard) -> bool:
        """Return whether the shard was computed."""
        return self.shard_path(shard).exists()

    def write(self, shard: Shard, features: Features, videos: Sequence[VideoNote]) -> None:
        """Write a computed shard, whole or not at all."""
        note = ShardNote(fingerprint=self.fingerprint, split=shard.split, videos=tuple(videos))
        path = self.shard_path(shard)
        write_sealed(path, {_ARRAY: features}, note.model_dump(mode="json"))
        if self._mirror is not None:
            self._mirror.put(path.relative_to(self.path).as_posix())

    def layout_and_note(self, shard: Shard) -> tuple[tuple[int, ...], ShardNote]:
        """Return where a shard's features are in its file, and its note, its seal unchecked; a StoreError if damaged.

        The layout is: first byte, videos, views, frames, dim, bytes of a number.
        """
        path = self.shard_path(shard)
        header = read_sealed_header(path, StoreError)
        try:
            note = ShardNote.model_validate(header.metadata)
        except ValidationError as cause:
            raise StoreError(f"{path} is damaged: its note cannot be read; delete it and run again") from cause
        if note.fingerprint != self.fingerprint:
            raise StoreError(
                f"{path} was made with other settings (fingerprint {note.fingerprint[:12]}, "
                f"the store has {self.fingerprint[:12]}); delete it and run again"
            )
        if tuple(video.key for video in note.videos) != shard.keys or note.split != shard.split:
            raise StoreError(f"{path} does not hold the videos of the plan; delete it and run again")
        array = header.arrays.get(_ARRAY)
        if array is None or len(array.shape) != 4 or array.shape[0] != len(shard.keys):
            raise StoreError(f"{path} is damaged: it does not hold the features of its videos; delete it and run again")
        return (array.first, *array.shape, array.dtype.itemsize), note

    def read(self, shard: Shard) -> tuple[Features, ShardNote]:
        """Return a shard's features and note after checking its seal; a StoreError if it is damaged."""
        _, note = self.layout_and_note(shard)
        arrays, _ = read_sealed(self.shard_path(shard), StoreError)
        return arrays[_ARRAY], note


def create_store(path: Path, provenance: Mapping[str, Any]) -> FeatureStore:
    """Open the store at `path`, making it if there is none; see `open_store`."""

    def made() -> dict[str, Any] | None:
        content = {"format_version": FORMAT_VERSION, "fingerprint": sha256_of_json(provenance)}
        return None if has_store(path) else {**content, "provenance": dict(provenance)}

    if not has_store(path):
        with folder_lock(path, name=".plan-lock", wait=True):
            changed(path, STORE, made)
    return open_store(path, provenance)


def open_store(path: Path, provenance: Mapping[str, Any]) -> FeatureStore:
    """Open the store at `path`; a StoreError if there is none, or lists how its provenance differs from this one."""
    different = differences(read_provenance(path), provenance)
    if different:
        lines = "\n  ".join(different)
        raise StoreError(
            f"the feature store {path} was made with other settings:\n  {lines}\n"
            "Use the settings it was made with, or choose another folder with -s features.store=DIR"
        )
    return FeatureStore(path, sha256_of_json(provenance))


def has_store(path: Path) -> bool:
    """Return whether a folder is a feature store, finished or not."""
    return (path / STORE).exists()


def refuse_other_folder(path: Path, option: str) -> None:
    """Raise a StoreError if a folder given with `option` holds files and is no store."""
    if not is_unused(path) and not has_store(path):
        raise StoreError(f"{path} holds other files and is no store; choose another {option}, or an empty folder")


def read_provenance(store: Path) -> dict[str, Any]:
    """Return the provenance of a store; a StoreError if there is none, or it is damaged or of another format."""
    path = store / STORE
    if not path.exists():
        raise StoreError(f"there is no feature store in {path.parent}; make one with `essential extract`")
    try:
        content = read_json(path)
        version, provenance = content["format_version"], content["provenance"]
        intact = content["fingerprint"] == sha256_of_json(provenance)
    except (OSError, ValueError, KeyError, TypeError) as cause:
        raise StoreError(f"{path} is damaged or no feature store; choose another folder for features.store") from cause
    if type(version) is not int or version != FORMAT_VERSION:
        raise StoreError(
            f"{path} is a feature store of format {version!r}, this version reads format {FORMAT_VERSION}; "
            "extract again into another folder"
        )
    if not intact or not isinstance(provenance, dict):
        raise StoreError(f"{path} is damaged: it does not fit its fingerprint; delete {path.parent} and extract again")
    return provenance


def video_id(video: Video) -> VideoId:
    """Return what names a video in a store: one key may be a training video here and a test video there."""
    return video.split, video.key


def shards_for(
    plan: Sequence[Shard], wanted: Sequence[VideoId], *, shard_videos: int, is_done: Callable[[Shard], bool]
) -> tuple[tuple[Shard, ...], tuple[Shard, ...]]:
    """Give each wanted video a shard, and return the plan, longer or as it was, and the shards that serve the videos.

    A finished shard serves any of its videos. An unfinished one serves if all of its videos are wanted: only then can
    it be computed from them. New shards hold the rest, sorted by split and key, whatever order they are wanted in.
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
    """Return the plan that `plan_to_json` wrote; a ValueError, KeyError or TypeError if it is something else."""
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
