"""Where each video is in a store, and what is wrong with it: broken, or no longer the file it was."""

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR

import numpy as np
from jaxtyping import Int64

from essential.errors import DataError, StoreError
from essential.features.config import BrokenVideos
from essential.features.index import StoreIndex
from essential.features.plan import Shard
from essential.protocols.protocol import Split, Video, paused_collector
from essential.video.identity import identity_of, size_of

_GONE = -2
# Asking a network's disk waits; a local one answers before a thread would be of use.
_STAT_THREADS = 8
_FILES_AT_A_TIME = 2048


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


def locate(index: StoreIndex, shards: Iterable[Shard], videos: Sequence[Video]) -> Located:
    """Return where `videos` are among the computed ones of `shards`; a video that is in none is left out."""
    with paused_collector():
        by_key = index.by_key(shards)
        places = np.array([by_key[video.split].get(video.key, -1) for video in videos], np.int64)
    rows = np.flatnonzero(places >= 0)
    if len(rows) == len(videos):
        return Located(index, videos, places, by_key)
    return Located(index, [videos[row] for row in rows.tolist()], places[rows], by_key)


def broken_among(found: Located) -> dict[str, str]:
    """Return the reason for the key of every video that could not be read."""
    return {video.key: str(found.index.broken[place].broken) for place, video in found.broken().items()}


def refuse_broken(broken: Mapping[str, str], policy: BrokenVideos = "fail") -> None:
    """Raise if there are broken videos, unless they are to be skipped.

    Args:
        broken: the reason for each video's key.
        policy: what they mean.

    Raises:
        DataError: the message lists every one.
    """
    if broken and policy == "fail":
        lines = "\n  ".join(f"{key}: {reason}" for key, reason in sorted(broken.items()))
        raise DataError(
            f"videos that cannot be read: {len(broken)}\n  {lines}\n"
            "Repair these files, or take them out of the data, and run the same command again (what is done is kept); "
            "or go on without them: -s features.on_broken_video=skip"
        )


def refuse_changed(found: Located) -> None:
    """Raise if a video on disk has another size than when it was extracted. A video deleted since then is fine.

    Raises:
        StoreError: the message lists every changed video.
    """
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


def repaired_places(found: Located) -> list[int]:
    """Return the places of the videos that could not be read and are other files now: worth another try."""
    return sorted(place for place, video in found.broken().items() if _is_another_file(found.index, place, video))


def _is_another_file(index: StoreIndex, place: int, video: Video) -> bool:
    note = index.broken[place]
    try:
        return size_of(video.path) != note.size_bytes or identity_of(video.path).sha256 != note.sha256
    except OSError:
        return False


def _sizes_on_disk(files: Sequence[str]) -> Int64[np.ndarray, " files"]:
    """Return the bytes of each video on disk, `_GONE` where there is none or it cannot be asked."""
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
