"""What a store holds and where: columns made of the notes of all its computed shards, so that it opens at once.

    .index    sealed like a shard; derived from the shards, so it may be deleted at any time, and is made again

A shard's entry counts for as long as its file is the one that was read: the same size, times of change and file number.
No shard is used whose seal was not checked since its file last changed. A file that is written to, copied, replaced or
restored is checked again. A disk that gives back other bytes under an unchanged file is not seen; deleting `.index` has
every seal checked again.
"""

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from pathlib import Path
from stat import S_ISDIR
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64

from essential.errors import DataError, FileSystemError, StoreError
from essential.features.config import BrokenVideos
from essential.features.cores import cpu_cores
from essential.features.store import FeatureStore, Shard, VideoNote, open_store, video_id
from essential.files.atomic import sha256_of_json
from essential.files.sealed import check_seal, read_sealed, write_sealed
from essential.protocols.protocol import Split, Video, paused_collector
from essential.remote.storage import is_remote, listed_sizes
from essential.video.frame_folder import identity_of, size_of

NO_SIZE = -1
_GONE = -2
_NAME = ".index"
_VERSION = 1
# A file that changed this recently might change again under the same time stamp, where stamps are coarse.
_COARSE_NS = 2_000_000_000
_STAMP, _LAYOUT = 4, 6
# Asking a network's disk waits; a local one answers before a thread would be of use.
_STAT_THREADS = 8
_FILES_AT_A_TIME = 2048


@dataclass(frozen=True)
class StoreIndex:
    """What a store's computed shards hold. A video's *place* is its number in the plan, counted over all shards.

    Attributes:
        plan: the store's shards, computed or not.
        stamps: of each shard's file: bytes, times of change of content and of status in ns, number; 0 if not computed.
        layouts: of each shard's array: first byte, videos, views, frames, dim, bytes of a number.
        sealed: whether the shard's seal was checked, with the file as it is.
        size_bytes: of each place's video, `NO_SIZE` where its note has none.
        broken: the notes of the videos that could not be read, by place.
    """

    store: FeatureStore
    plan: tuple[Shard, ...]
    stamps: Int64[np.ndarray, "shards 4"]
    layouts: Int64[np.ndarray, "shards 6"]
    sealed: Bool[np.ndarray, " shards"]
    size_bytes: Int64[np.ndarray, " places"]
    broken: Mapping[int, VideoNote]

    @cached_property
    def starts(self) -> Int64[np.ndarray, " shards_and_one"]:
        """The first place of each shard, and behind them the number of places."""
        return np.cumsum([0, *(len(shard.keys) for shard in self.plan)], dtype=np.int64)

    @cached_property
    def done(self) -> Bool[np.ndarray, " shards"]:
        """Whether each shard was computed."""
        return np.asarray(self.stamps.any(axis=1))

    def shards_at(self, places: Int64[np.ndarray, " places"]) -> Int64[np.ndarray, " places"]:
        """Return the number of the shard that holds each place."""
        return np.searchsorted(self.starts, places, side="right") - 1


def stamp_of(status: os.stat_result) -> tuple[int, int, int, int]:
    """Return what changes when a file changes."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino & (1 << 63) - 1


def read_index(store: FeatureStore) -> StoreIndex:
    """Return a store's index, reading the notes of shards that it does not know; a StoreError if one is damaged."""
    with paused_collector():
        plan = store.plan()
        known = _saved(store, plan)
        found = _stamps_on_disk(store, plan)
        stale = (known.stamps != found).any(axis=1)
        if not stale.any():
            return known
        index = _with_notes(known, found, stale)
    _save(index)
    return index


def with_checked_seals(index: StoreIndex, shards: Iterable[int]) -> StoreIndex:
    """Return the index after checking seals not yet checked; a StoreError names the first damaged shard."""
    unchecked = [index.plan[number] for number in shards if not index.sealed[number]]
    if not unchecked:
        return index
    with ThreadPoolExecutor(cpu_cores()) as pool:
        list(pool.map(lambda shard: check_seal(index.store.shard_path(shard), StoreError), unchecked))
    numbers = np.array([shard.index for shard in unchecked], np.int64)
    found = _stamps_on_disk(index.store, index.plan)[numbers]
    if (found != index.stamps[numbers]).any():
        raise StoreError(f"shards of {index.store.path} changed while they were read; run the same command again")
    sealed = index.sealed.copy()
    sealed[numbers] = True
    checked = replace(index, sealed=sealed)
    _save(checked)
    return checked


@dataclass(frozen=True)
class Located:
    """Videos that a store holds, and the place of each in its index; `by_key` has all that were looked through."""

    index: StoreIndex
    videos: Sequence[Video]
    places: Int64[np.ndarray, " videos"]
    by_key: Mapping[Split, Mapping[str, int]]

    def broken(self) -> dict[int, Video]:
        """Return the videos that could not be read, by place."""
        bad = np.isin(self.places, np.fromiter(self.index.broken, np.int64))
        return {int(self.places[row]): self.videos[row] for row in np.flatnonzero(bad).tolist()}

    def reasons(self) -> dict[str, str]:
        """Return why each video that could not be read was not, by key."""
        return {video.key: str(self.index.broken[place].broken) for place, video in self.broken().items()}

    def repaired_places(self) -> list[int]:
        """Return the places of the videos that could not be read and are other files now: worth another try."""
        return sorted(place for place, video in self.broken().items() if _is_another_file(self.index, place, video))


def locate(index: StoreIndex, shards: Iterable[Shard], videos: Sequence[Video]) -> Located:
    """Return where `videos` are among the computed ones of `shards`; a video that is in none is left out."""
    by_key: dict[Split, dict[str, int]] = {"train": {}, "test": {}}
    with paused_collector():
        # The first shard that holds a video is the one to read it from, so it is the last to be entered.
        for shard in sorted(shards, key=lambda shard: shard.index, reverse=True):
            if index.done[shard.index]:
                by_key[shard.split].update(zip(shard.keys, count(int(index.starts[shard.index]))))
        places = np.array([by_key[video.split].get(video.key, -1) for video in videos], np.int64)
    rows = np.flatnonzero(places >= 0)
    if len(rows) == len(videos):
        return Located(index, videos, places, by_key)
    return Located(index, [videos[row] for row in rows.tolist()], places[rows], by_key)


def look_up(path: Path, videos: Sequence[Video], provenance: Mapping[str, Any]) -> Located:
    """Return where `videos` are in the store at `path`, known to fit the provenance; see `locate`."""
    index = read_index(open_store(path, provenance))
    return locate(index, index.plan, videos)


def refuse_missing(found: Located, videos: Sequence[Video], *, remedy: str) -> None:
    """Raise a StoreError that counts those of `videos` that were not found and names one."""
    if len(found.videos) < len(videos):
        there = {video_id(video) for video in found.videos}
        missing = [video.key for video in videos if video_id(video) not in there]
        store = f"the feature store {found.index.store.path}"
        problem = f"{store} lacks {len(missing)} of {len(videos)} videos, for example {missing[0]}"
        raise StoreError(problem, remedy=remedy)


def refuse_broken(broken: Mapping[str, str], policy: BrokenVideos = "fail") -> None:
    """Raise a DataError that lists the broken videos, with the reason for each key, unless they are to be skipped."""
    if broken and policy == "fail":
        lines = "\n  ".join(f"{key}: {reason}" for key, reason in sorted(broken.items()))
        raise DataError(
            f"videos that cannot be read: {len(broken)}\n  {lines}\n"
            "Repair these files, or take them out of the data, and run the same command again (what is done is kept); "
            "or go on without them: -s features.on_broken_video=skip"
        )


def refuse_changed(found: Located) -> None:
    """Raise a StoreError that lists the videos of another size than when they were extracted; deleted ones are fine."""
    index, places = found.index, found.places
    now, then = _sizes_on_disk([video.file for video in found.videos]), index.size_bytes[places]
    other = np.flatnonzero((now != _GONE) & (now != then)).tolist()
    changed = [row for row in other if int(places[row]) not in index.broken]
    if changed:
        shards = index.shards_at(places[changed])
        lines = "\n  ".join(
            f"{found.videos[row].key}: {now[row]} bytes, it had {then[row]} (shard {index.plan[shard].name})"
            for row, shard in zip(changed, shards, strict=True)
        )
        raise StoreError(
            f"videos that changed since the feature store {index.store.path} was made: {len(changed)}\n  {lines}\n"
            "Put the old files back; or delete these shards, or the whole store, and extract again"
        )


def _is_another_file(index: StoreIndex, place: int, video: Video) -> bool:
    note = index.broken[place]
    try:
        with video.here() as local:
            return size_of(local.path) != note.size_bytes or identity_of(local.path).sha256 != note.sha256
    except (OSError, DataError):  # gone, or out of reach
        return False


def _sizes_on_disk(files: Sequence[str]) -> Int64[np.ndarray, " files"]:
    """Return the bytes of each video, `_GONE` where there is none or it cannot be asked."""
    if files and is_remote(files[0]):
        known = listed_sizes(files)
        return np.array([known.get(file, _GONE) for file in files], np.int64)
    # Where a folder is gone, so is all in it.
    there = {folder for folder in {file.rpartition("/")[0] for file in files} if Path(folder).is_dir()}
    if not there:
        return np.full(len(files), _GONE, np.int64)
    asked = list(dict.fromkeys(file for file in files if file.rpartition("/")[0] in there))
    parts = [asked[start : start + _FILES_AT_A_TIME] for start in range(0, len(asked), _FILES_AT_A_TIME)]
    with ThreadPoolExecutor(_STAT_THREADS) as pool:
        sizes = [size for part in pool.map(lambda part: [_size(file) for file in part], parts) for size in part]
    size_of_file = dict(zip(asked, sizes, strict=True))
    return np.array([size_of_file.get(file, _GONE) for file in files], np.int64)


def _size(file: str) -> int:
    try:
        status = os.stat(file)  # noqa: PTH116 - a Path would cost more than the question
        return size_of(Path(file)) if S_ISDIR(status.st_mode) else status.st_size
    except OSError:
        return _GONE


def _stamps_on_disk(store: FeatureStore, plan: Sequence[Shard]) -> Int64[np.ndarray, "shards 4"]:
    """Return the stamp of each shard's file; zeros where there is none."""
    folder = store.path / "shards"
    found: dict[str, tuple[int, ...]] = {}
    if folder.is_dir():
        with os.scandir(folder) as entries:
            found = {entry.name: stamp_of(entry.stat()) for entry in entries if entry.name.endswith(".safetensors")}
    stamps = [found.get(store.shard_path(shard).name, (0,) * _STAMP) for shard in plan]
    return np.array(stamps, np.int64).reshape(len(plan), _STAMP)


def _with_notes(
    known: StoreIndex, found: Int64[np.ndarray, "shards 4"], stale: Bool[np.ndarray, " shards"]
) -> StoreIndex:
    layouts, size_bytes = known.layouts.copy(), known.size_bytes.copy()
    places_stale = np.repeat(stale, np.diff(known.starts))
    broken = {place: note for place, note in known.broken.items() if not places_stale[place]}
    for number in np.flatnonzero(stale & found.any(axis=1)).tolist():
        shard, start = known.plan[number], int(known.starts[number])
        layouts[number], note = known.store.layout_and_note(shard)
        sizes = [video.size_bytes for video in note.videos]
        size_bytes[start : start + len(sizes)] = [NO_SIZE if size is None else size for size in sizes]
        broken |= {start + row: video for row, video in enumerate(note.videos) if video.broken is not None}
    sealed = known.sealed & ~stale
    return replace(known, stamps=found, layouts=layouts, sealed=sealed, size_bytes=size_bytes, broken=broken)


def _saved(store: FeatureStore, plan: tuple[Shard, ...]) -> StoreIndex:
    """Return the index on disk, made to fit a plan that has grown since; an empty one if none can be used."""
    places = sum(len(shard.keys) for shard in plan)
    columns = {
        "stamps": np.zeros((len(plan), _STAMP), np.int64),
        "layouts": np.zeros((len(plan), _LAYOUT), np.int64),
        "sealed": np.zeros(len(plan), np.bool_),
        "size_bytes": np.full(places, NO_SIZE, np.int64),
    }
    notes: dict[str, Any] = {}
    try:
        arrays, content = read_sealed(store.path / _NAME, StoreError)
    except StoreError:
        content = {}  # Missing, or damaged: it is made again.
    names = _hash_of_names(plan[: content.get("shards", 0)])
    if [content.get(key) for key in ("version", "fingerprint", "names")] == [_VERSION, store.fingerprint, names]:
        notes = content["broken"]
        for name, column in columns.items():
            column[: len(arrays[name])] = arrays[name]
    broken = {int(place): VideoNote.model_validate(note) for place, note in notes.items()}
    return StoreIndex(store, plan, broken=broken, **columns)


def _save(index: StoreIndex) -> None:
    unchanging = index.stamps[:, 1:3].max(axis=1, initial=0) < time.time_ns() - _COARSE_NS
    arrays = {
        "stamps": index.stamps,
        "layouts": index.layouts,
        "sealed": index.sealed & unchanging,
        "size_bytes": index.size_bytes,
    }
    content = {
        "version": _VERSION,
        "fingerprint": index.store.fingerprint,
        "shards": len(index.plan),
        "names": _hash_of_names(index.plan),
        "broken": {str(place): note.model_dump(mode="json") for place, note in index.broken.items()},
    }
    try:
        write_sealed(index.store.path / _NAME, arrays, content)
    except FileSystemError:
        # A store that may not be written to, or a full disk: reading goes on, and the next process begins anew.
        return


def _hash_of_names(plan: Sequence[Shard]) -> str:
    return sha256_of_json([shard.name for shard in plan])
