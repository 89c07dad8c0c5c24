"""Features extracted elsewhere: an array of all frames' features becomes a store, and a source reads clips of it.

The store is a feature store (see `store.py`) with one view of all the frames that the array has, and the labels in
`videos.csv`, written last: a store without it is not finished. A clip is taken from it as from a video: view 0 has the
segment centres, view v >= 1 a random frame of each segment.
"""

import csv
import io
import tokenize
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int64

from essential.errors import DataError, StoreError
from essential.features.config import FeaturesConfig
from essential.features.index import look_up, refuse_missing
from essential.features.provenance import SAMPLING_RULE
from essential.features.source import FeatureSource
from essential.features.store import VideoNote, create_store, read_provenance, refuse_other_folder, video_id
from essential.features.tables import FrameTable, map_shards
from essential.files.atomic import refuse_unwritable, sha256_of_file, write_text
from essential.files.given import plain_file
from essential.files.sealed import Array
from essential.progress import Progress
from essential.protocols.labelled_tables import STORED_LABELS, labelled_rows
from essential.protocols.protocol import Video
from essential.seeding import numpy_generator
from essential.video.views import segment_table

IMPORTED = "imported"
_SHARD_VIDEOS = 256
# What NumPy was seen to raise on headers that are damaged or made up.
_UNREADABLE = (
    *(OSError, ValueError, EOFError, SyntaxError, TypeError, ArithmeticError, MemoryError, RecursionError),
    tokenize.TokenError,
)
_KEPT_TYPES = {"float16": np.float16, "float32": np.float32, "float64": np.float32}


def import_features(array_path: Path, labels: Path, store: Path, *, progress: Progress) -> list[Video]:
    """Write the store of an array of features and its labels, and return the videos in the array's order.

    A killed call is completed by calling again.

    Args:
        array_path: a NumPy file (.npy) of shape (videos, frames, dim), float16, float32 or float64 (kept as float32).
        labels: see `labelled_rows`.
        progress: shows how many videos are done.

    Raises:
        DataError: the array or the labels cannot be used, or do not fit each other.
        StoreError: `store` holds other features.
    """
    refuse_unwritable(store / "store.json")
    refuse_other_folder(store, "--out")
    array = _open_array(array_path)
    videos = labelled_rows(labels, len(array))
    _refuse_not_finite(array, videos)
    provenance = {
        "encoder": {"name": IMPORTED, "fingerprint": sha256_of_file(array_path), "dim": array.shape[2]},
        "sampling": {"frames": array.shape[1], "rule": SAMPLING_RULE},
        "dtype": np.dtype(_KEPT_TYPES[array.dtype.name]).name,
    }
    try:
        made = create_store(store, provenance)
    except StoreError as error:
        raise StoreError(f"{store} is a store of other features; choose another --out ({error})") from error
    labels_text, stored_labels = _labels_text(videos), store / STORED_LABELS
    if stored_labels.exists() and plain_file(stored_labels).read_text(encoding="utf-8") != labels_text:
        raise StoreError(f"{store} holds these features under other labels; choose another --out")
    rows = {video_id(video): row for row, video in enumerate(videos)}
    with made.locked(".lock"):
        shards = made.plan_for(list(rows), shard_videos=_SHARD_VIDEOS)
        for done, shard in enumerate(shards):
            if not made.is_done(shard):
                features = _kept(array[[rows[shard.split, key] for key in shard.keys]])
                notes = [VideoNote(key=key, size_bytes=None, sha256=None, broken=None) for key in shard.keys]
                made.write(shard, features[:, None], notes)
            progress.advance(min((done + 1) * _SHARD_VIDEOS, len(videos)), total=len(videos))
        write_text(stored_labels, labels_text)
    return videos


class ImportedSource(FeatureSource):
    """Clips out of a store of imported features, views drawn from `seed`. The import leaves nothing to skip.

    Raises:
        StoreError: there is no such store, it is damaged, or it lacks a video.
    """

    def __init__(self, path: Path, videos: Sequence[Video], *, frames: int, config: FeaturesConfig, seed: int) -> None:
        provenance = imported_provenance(path)
        views = None if config.mode == "live" else config.views
        super().__init__(config, frames=frames, dim=provenance["encoder"]["dim"], views=views, skipped={})
        self._stored_frames: int = provenance["sampling"]["frames"]
        self._seed = seed
        found = look_up(path, videos, provenance)
        refuse_missing(found, videos, remedy="import it again")
        self._by_key = found.by_key
        self._shards = map_shards(found)
        self._videos_in_store = int(found.index.starts[-1])

    def view(self, videos: Sequence[Video], view: int) -> FrameTable:
        """Return one view of the videos: 0 has the segments' centres, others a random frame of each segment."""
        places = np.array([self._by_key[video.split][video.key] for video in videos], np.int64)
        # A video's draws depend on its place in the whole store: not on what else is asked for.
        chosen = segment_table(self._stored_frames, self._draws(view)[places])
        all_frames = self._shards.reader(places, 0)

        def read(rows: Int64[np.ndarray, " batch"]) -> Float[np.ndarray, "batch frames dim"]:
            clips: Array = all_frames(rows)[np.arange(len(rows))[:, None], chosen[rows]]
            return clips

        return FrameTable(videos, read)

    def _draws(self, view: int) -> Float[np.ndarray, "videos frames"]:
        """Return where in its segment each frame of each video of the store lies."""
        shape = (self._videos_in_store, self.frames)
        if view == 0:
            return np.full(shape, 0.5)
        return numpy_generator("imported view", self._seed, view).random(shape)


def imported_provenance(store: Path) -> dict[str, Any]:
    """Return the provenance of a store of imported features; a StoreError where there is none, or of another kind."""
    provenance = read_provenance(store)
    encoder = provenance.get("encoder")
    name = encoder.get("name") if isinstance(encoder, dict) else None
    if name != IMPORTED:
        raise StoreError(
            f"the features in {store} were extracted from videos by {name!r}; train on the "
            "videos with -s features.store=STORE, or give a store that `essential features import` made"
        )
    return provenance


def _open_array(path: Path) -> Array:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes that overflow, which are an error below
            array = np.load(plain_file(path), mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise DataError(f"features file {path} does not exist; give a NumPy file (.npy)") from None
    except _UNREADABLE as error:
        raise DataError(
            f"features file {path} cannot be read as a NumPy array ({error}); save it with np.save"
        ) from error
    if not isinstance(array, np.ndarray) or array.ndim != 3 or array.dtype.name not in _KEPT_TYPES or not array.size:
        found = f"{array.dtype} of shape {array.shape}" if isinstance(array, np.ndarray) else "an archive of arrays"
        raise DataError(
            f"features file {path} holds {found}; give one array of shape (videos, frames, dim), of "
            f"{', '.join(_KEPT_TYPES)}"
        )
    return array


def _refuse_not_finite(array: Array, videos: Sequence[Video]) -> None:
    """Raise a DataError that names the first video with a number that is not finite in the type that is kept."""
    for start in range(0, len(array), _SHARD_VIDEOS):
        kept = _kept(array[start : start + _SHARD_VIDEOS])
        bad = np.argwhere(~np.isfinite(kept))
        if len(bad):
            row = start + int(bad[0, 0])
            raise DataError(
                f"the features of video {videos[row].key!r} (index {row}) hold {array[row][tuple(bad[0, 1:])]}, which "
                f"is not a finite {kept.dtype}; fix the array, or leave the video out of it and of the labels"
            )


def _kept(rows: Array) -> Array:
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(rows.astype(_KEPT_TYPES[rows.dtype.name]))


def _labels_text(videos: Sequence[Video]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["index", "label", "split", "video"])
    writer.writerows([index, video.label, video.split, video.key] for index, video in enumerate(videos))
    return text.getvalue()
