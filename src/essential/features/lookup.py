"""Where each video is in a store, and what is wrong with it: broken, or no longer the file it was."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from essential.errors import DataError, StoreError
from essential.features.plan import Shard, VideoId
from essential.features.store import FeatureStore, VideoNote
from essential.protocols.protocol import Video
from essential.video.identity import identity_of, size_of


@dataclass(frozen=True, slots=True)
class Located:
    """A video's place in a store, and what the store says of it."""

    video: Video
    shard: Shard
    row: int
    note: VideoNote


def locate(store: FeatureStore, shards: Iterable[Shard], videos: Mapping[VideoId, Video]) -> dict[VideoId, Located]:
    """Return where each of `videos` is among the computed ones of `shards`; a video that is in none is left out.

    Raises:
        StoreError: a shard is damaged or not of this store.
    """
    found: dict[VideoId, Located] = {}
    for shard in shards:
        if not store.is_done(shard) or videos.keys().isdisjoint(shard.ids):
            continue
        for row, note in enumerate(store.note(shard).videos):
            name = (shard.split, note.key)
            if name in videos and name not in found:
                found[name] = Located(videos[name], shard, row, note)
    return found


def broken_among(places: Iterable[Located]) -> dict[str, str]:
    """Return the reason for the key of every video that could not be read."""
    return {place.video.key: place.note.broken for place in places if place.note.broken is not None}


def refuse_broken(broken: Mapping[str, str]) -> None:
    """Raise if there are broken videos.

    Args:
        broken: the reason for each video's key.

    Raises:
        DataError: `broken` is not empty; the message lists every one.
    """
    if broken:
        lines = "\n  ".join(f"{key}: {reason}" for key, reason in sorted(broken.items()))
        raise DataError(
            f"videos that cannot be read: {len(broken)}\n  {lines}\n"
            "Repair these files, or take them out of the data, and run the same command again (what is done is kept); "
            "or go on without them: -s features.on_broken_video=skip"
        )


def refuse_changed(store: FeatureStore, places: Iterable[Located]) -> None:
    """Raise if a video on disk has another size than when it was extracted. A video deleted since then is fine.

    Raises:
        StoreError: the message lists every changed video.
    """
    changed = [place for place in places if place.note.broken is None and _has_another_size(place)]
    if changed:
        lines = "\n  ".join(
            f"{place.video.key}: {size_of(place.video.path)} bytes, it had {place.note.size_bytes} "
            f"(shard {place.shard.name})"
            for place in changed
        )
        raise StoreError(
            f"videos that changed since the feature store {store.path} was made: {len(changed)}\n  {lines}\n"
            "Put the old files back; or delete these shards, or the whole store, and extract again"
        )


def repaired_rows(places: Collection[Located]) -> Sequence[int]:
    """Return the rows of the videos that could not be read and are other files now: worth another try."""
    return sorted(place.row for place in places if place.note.broken is not None and _is_another_file(place))


def _is_another_file(place: Located) -> bool:
    try:
        return _has_another_size(place) or identity_of(place.video.path).sha256 != place.note.sha256
    except OSError:
        return False


def _has_another_size(place: Located) -> bool:
    try:
        return size_of(place.video.path) != place.note.size_bytes
    except OSError:
        return False
