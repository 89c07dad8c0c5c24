"""Compute what a feature store lacks. A kill loses the shard at hand, nothing else; running again goes on."""

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np

from essential.errors import ConfigError
from essential.features.config import FeaturesConfig
from essential.features.index import Located, locate, read_index, refuse_broken, refuse_changed
from essential.features.pipeline import EncodedVideo, Item, encode_each
from essential.features.provenance import Recipe
from essential.features.store import Features, FeatureStore, Shard, VideoId, VideoNote, create_store, video_id
from essential.protocols.protocol import Split, Video

Progress = Callable[[int, int], None]


class ShardJob(NamedTuple):
    """The rows of a shard that are to be computed; the others are kept as they are."""

    shard: Shard
    rows: tuple[int, ...]


def extract(
    path: Path,
    videos: Sequence[Video],
    *,
    recipe: Recipe,
    config: FeaturesConfig,
    part: tuple[int, int] = (0, 1),
    progress: Progress = lambda *_: None,
) -> dict[str, str]:
    """Compute the shards of the store at `path` that `videos` need and that are not there yet.

    A training video gets its plain view and `recipe.views` augmented ones, a test video its plain view. A video that
    was broken and is another file now is tried again; so is one that killed or hung its worker, if the config says to
    fail at broken videos. Return the reason for the key of each broken video, where the config says to skip them.

    Args:
        part: (i, n): only the shards whose place in the plan is i modulo n, for n jobs side by side.
        progress: called with (videos done, videos in all) as the work goes on.

    Raises:
        DataError: a video is broken and the config says to fail; everything else was extracted first.
        StoreError: the store is damaged, or was made by something else.
        RunError: another process is extracting the same part.
    """
    if not 0 <= part[0] < part[1]:
        raise ConfigError(f"shard {part[0]}/{part[1]} does not exist; i/n needs n >= 1 and i from 0 to n - 1")
    store = create_store(path, recipe.provenance())
    wanted = {video_id(video): video for video in videos}
    planned = store.plan_for(list(wanted), shard_videos=config.shard_videos)
    shards = [shard for shard in planned if shard.index % part[1] == part[0]]
    found = locate(read_index(store), shards, videos)
    refuse_changed(found)
    jobs = _find_jobs(found, shards, config)
    total = sum(len(shard.keys) for shard in shards)

    def report(done: int, to_do: int) -> None:
        progress(total - to_do + done, total)

    report(0, sum(len(job.rows) for job in jobs))
    if jobs:
        with store.locked(f".lock-{part[0]}-of-{part[1]}"):
            # Asked again: another process may have held the lock until now, and done them.
            jobs = _find_jobs(locate(read_index(store), shards, videos), shards, config)
            _run(store, jobs, wanted, recipe=recipe, config=config, progress=report)
        found = locate(read_index(store), shards, videos)
    broken = found.reasons()
    refuse_broken(broken, config.on_broken_video)
    return broken


def view_numbers(split: Split, views: int) -> tuple[int, ...]:
    """Return the views that a store keeps of a video."""
    return tuple(range(views + 1)) if split == "train" else (0,)


def _find_jobs(found: Located, shards: Sequence[Shard], config: FeaturesConfig) -> list[ShardJob]:
    """Return the shards that are missing, whole, and the rows worth another try of those that are there."""
    index = found.index
    again: dict[int, list[int]] = {}
    places = [place for place in found.repaired_places() if not _stays_lost(index.broken[place], config)]
    for place, number in zip(places, index.shards_at(np.array(places, np.int64)).tolist(), strict=True):
        again.setdefault(number, []).append(place - int(index.starts[number]))
    rows = {
        shard: again.get(shard.index, ()) if index.done[shard.index] else range(len(shard.keys)) for shard in shards
    }
    return [ShardJob(shard, tuple(chosen)) for shard, chosen in rows.items() if chosen]


def _stays_lost(note: VideoNote, config: FeaturesConfig) -> bool:
    """Return whether a video killed or hung its worker, which leaves no hash of it, and the config says to skip it.

    Another try may take as long as the limit, and a run that skips it must not lose that time whenever it starts.
    """
    lost = note.broken is not None and note.size_bytes is not None and note.sha256 is None
    return lost and config.on_broken_video == "skip"


def _run(
    store: FeatureStore,
    jobs: Sequence[ShardJob],
    wanted: Mapping[VideoId, Video],
    *,
    recipe: Recipe,
    config: FeaturesConfig,
    progress: Progress,
) -> None:
    writer, counted = _ShardWriter(store, jobs, recipe), count(1)
    items: list[Item] = []
    for job in jobs:
        request = recipe.request(view_numbers(job.shard.split, recipe.views))
        items += [(wanted[job.shard.split, job.shard.keys[row]], request) for row in job.rows]

    def consume(place: int, encoded: EncodedVideo) -> None:
        writer.add(place, encoded)
        progress(next(counted), len(items))

    encode_each(items, consume, recipe=recipe, config=config)


class _ShardWriter:
    """Takes the videos of the jobs, and writes each shard when its last one is there.

    Videos may overtake each other, so that a few shards can be open at a time: those with a video that hangs.
    """

    def __init__(self, store: FeatureStore, jobs: Sequence[ShardJob], recipe: Recipe) -> None:
        self._store = store
        self._recipe = recipe
        self._places = [(job, row) for job in jobs for row in job.rows]
        # By shard: its features, and the notes on its videos, none of those that are still to come.
        self._open: dict[int, tuple[Features, list[VideoNote | None]]] = {}

    def add(self, place: int, encoded: EncodedVideo) -> None:
        job, row = self._places[place]
        if job.shard.index not in self._open:
            self._open[job.shard.index] = self._begin(job)
        features, notes = self._open[job.shard.index]
        notes[row] = encoded.note
        if encoded.features is not None:
            features[row] = encoded.features
        known = [note for note in notes if note is not None]
        if len(known) == len(notes):
            self._store.write(job.shard, features, known)
            del self._open[job.shard.index]

    def _begin(self, job: ShardJob) -> tuple[Features, list[VideoNote | None]]:
        shard = job.shard
        if self._store.is_done(shard):
            features, note = self._store.read(shard)
            return features.copy(), [None if row in job.rows else video for row, video in enumerate(note.videos)]
        views = len(view_numbers(shard.split, self._recipe.views))
        shape = (len(shard.keys), views, self._recipe.frames, self._recipe.encoder.dim)
        return np.zeros(shape, self._recipe.dtype), [None] * len(shard.keys)
