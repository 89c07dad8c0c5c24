"""Compute what a feature store lacks. A kill loses the shard at hand, nothing else; running again goes on."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np

from essential.errors import ConfigError
from essential.features.config import FeaturesConfig
from essential.features.index import Located, locate, read_index, refuse_broken, refuse_changed
from essential.features.mirror import exchange
from essential.features.pipeline import EncodedVideo, Item, encode_each
from essential.features.provenance import Recipe
from essential.features.short_clips import ShortClips
from essential.features.store import Features, FeatureStore, Shard, VideoId, VideoNote, create_store, video_id
from essential.progress import QUIET, Progress
from essential.protocols.protocol import SPLITS, Split, Video

# The rows of each shard that are to be computed; the others are kept as they are.
Jobs = Mapping[Shard, Sequence[int]]
# Encodes the videos of all shards, and yields the place of each, counted over all, with what became of it.
EncodeShards = Callable[[Sequence[Sequence[Item]]], Generator[tuple[int, EncodedVideo], None, None]]


def extract(
    path: Path,
    videos: Sequence[Video],
    *,
    recipe: Recipe,
    config: FeaturesConfig,
    part: tuple[int, int] = (0, 1),
    progress: Progress = QUIET,
    encode: EncodeShards | None = None,
) -> dict[str, str]:
    """Compute the shards of the store at `path` that `videos` need and that are not there yet.

    A training video gets its plain view and `recipe.views` augmented ones, a test video its plain view. A video that
    was broken and is another file now is tried again; so is one that killed or hung its worker, if the config says to
    fail at broken videos. Return the reason for the key of each broken video, where the config says to skip them.

    Args:
        part: (i, n): only the shards whose place in the plan is i modulo n, for n jobs side by side.
        progress: shows how many videos are done, and says at the end how many clips were too short, if any were.
        encode: computes the features elsewhere; None: in this process and its workers.

    Raises:
        DataError: a video is broken and the config says to fail; everything else was extracted first.
        StoreError: the store is damaged, or was made by something else.
        RunError: another process is extracting the same part.
    """
    if not 0 <= part[0] < part[1]:
        raise ConfigError(f"shard {part[0]}/{part[1]} does not exist; i/n needs n >= 1 and i from 0 to n - 1")
    exchange(path, progress)
    store = create_store(path, recipe.provenance())
    wanted = {video_id(video): video for video in videos}
    planned = store.plan_for(list(wanted), shard_videos=config.shard_videos)
    shards = [shard for shard in planned if shard.index % part[1] == part[0]]
    found = locate(read_index(store), shards, videos)
    refuse_changed(found)
    jobs = _find_jobs(found, shards, config)
    encode = encode or partial(_encode_here, recipe=recipe, config=config)
    total = sum(len(shard.keys) for shard in shards)
    progress.advance(total - sum(map(len, jobs.values())), total=total)
    if jobs:
        with store.locked(f".lock-{part[0]}-of-{part[1]}"):
            # Asked again: another process may have held the lock until now, and done them.
            jobs = _find_jobs(locate(read_index(store), shards, videos), shards, config)
            _run(store, jobs, wanted, recipe=recipe, encode=encode, progress=progress, total=total)
        found = locate(read_index(store), shards, videos)
    broken = found.reasons()
    refuse_broken(broken, config.on_broken_video)
    return broken


def view_numbers(split: Split, views: int) -> tuple[int, ...]:
    """Return the views that a store keeps of a video."""
    return tuple(range(views + 1)) if split == "train" else (0,)


def _find_jobs(found: Located, shards: Sequence[Shard], config: FeaturesConfig) -> Jobs:
    """Return all rows of the shards that are missing, and the rows worth another try of those that are there."""
    index = found.index
    # A video that killed or hung its worker leaves no hash. Another try may take as long as the limit, and a run that
    # skips it must not lose that time whenever it starts.
    skipped = config.on_broken_video == "skip"
    again = [
        place
        for place in found.repaired_places()
        if not skipped or index.broken[place].sha256 or index.broken[place].size_bytes is None
    ]
    rows: dict[int, list[int]] = {}
    for place, number in zip(again, index.shards_at(np.array(again, np.int64)).tolist(), strict=True):
        rows.setdefault(number, []).append(place - int(index.starts[number]))
    jobs = {shard: rows.get(shard.index, ()) if index.done[shard.index] else range(len(shard.keys)) for shard in shards}
    return {shard: chosen for shard, chosen in jobs.items() if chosen}


def _run(
    store: FeatureStore,
    jobs: Jobs,
    wanted: Mapping[VideoId, Video],
    *,
    recipe: Recipe,
    encode: EncodeShards,
    progress: Progress,
    total: int,
) -> None:
    """Compute the jobs, and write each shard when its last video is there; all but these of `total` videos are done.

    Videos may overtake each other, so that a few shards can be open at a time: those with a video that hangs.
    """
    places = [(shard, row) for shard, rows in jobs.items() for row in rows]
    requests = {split: recipe.request(view_numbers(split, recipe.views)) for split in SPLITS}
    items = [
        [(wanted[shard.split, shard.keys[row]], requests[shard.split]) for row in rows] for shard, rows in jobs.items()
    ]
    short = ShortClips(recipe.frames_read)
    unfinished: dict[Shard, tuple[Features, dict[int, VideoNote]]] = {}
    with closing(encode(items)) as every:
        for done, (place, encoded) in enumerate(every, 1):
            shard, row = places[place]
            if shard not in unfinished:
                unfinished[shard] = _begin(store, shard, jobs[shard], recipe)
            features, notes = unfinished[shard]
            notes[row] = encoded.note
            short.add(encoded.frame_count)
            if encoded.features is not None:
                features[row] = encoded.features
            if len(notes) == len(shard.keys):
                store.write(shard, features, [notes[row] for row in sorted(notes)])
                del unfinished[shard]
            progress.advance(total - len(places) + done, total=total)
    short.tell(progress)


def _encode_here(
    shards: Sequence[Sequence[Item]], *, recipe: Recipe, config: FeaturesConfig
) -> Generator[tuple[int, EncodedVideo], None, None]:
    return encode_each([item for shard in shards for item in shard], recipe=recipe, config=config)


def _begin(
    store: FeatureStore, shard: Shard, rows: Sequence[int], recipe: Recipe
) -> tuple[Features, dict[int, VideoNote]]:
    """Return a shard's features, and the notes on its videos by row, but those of the rows that are to be computed."""
    if store.is_done(shard):
        features, note = store.read(shard)
        return features.copy(), {row: video for row, video in enumerate(note.videos) if row not in rows}
    views = len(view_numbers(shard.split, recipe.views))
    return np.zeros((len(shard.keys), views, recipe.frames, recipe.encoder.dim), recipe.dtype), {}
