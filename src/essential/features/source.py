"""Where a method's frame features come from: a store, memory, or the videos themselves. A method cannot tell which."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from essential.errors import StoreError
from essential.features.config import FeaturesConfig
from essential.features.cores import decoders
from essential.features.extract import extract, view_numbers
from essential.features.index import Located, look_up, refuse_broken, refuse_changed, refuse_missing
from essential.features.mirror import exchange
from essential.features.pipeline import EncodedVideo, encode_each, read_each
from essential.features.provenance import Recipe
from essential.features.short_clips import ShortClips
from essential.features.store import VideoNote, has_store
from essential.features.tables import FrameTable, map_shards
from essential.progress import QUIET, Progress
from essential.protocols.protocol import Video
from essential.video.views import ViewRequest


class FeatureSource(ABC):
    """Gives the frame features of videos, `frames` a clip and `dim` numbers a frame.

    Attributes:
        views: augmented views that it has of a training video; None: as many as anyone asks for.
        skipped: why each video that is left out could not be read, by key.
    """

    def __init__(
        self, config: FeaturesConfig, *, frames: int, dim: int, views: int | None, skipped: dict[str, str]
    ) -> None:
        self.frames, self.dim, self.views, self.skipped = frames, dim, views, skipped
        self._config = config

    @abstractmethod
    def view(self, videos: Sequence[Video], view: int) -> FrameTable:
        """Return one view of the videos: 0 is the plain view, others are augmented. Skipped videos are left out."""

    def training_view(self, epoch: int) -> int:
        """Return the view that an epoch, counted from 0, learns from; see `FeaturesConfig.training_view`."""
        return self._config.training_view(epoch, self.views)


def open_source(
    config: FeaturesConfig,
    videos: Sequence[Video],
    *,
    recipe: Recipe,
    store: Path,
    progress: Progress = QUIET,
) -> FeatureSource:
    """Return the source that the config asks for, ready to give the features of `videos`.

    In stored mode this extracts what the store in the folder `store` lacks; in live mode it decodes every video once,
    so that broken ones are known before training starts. `progress` shows how many are done, and
    says how many of those that were read were too short, if any were.

    Raises:
        DataError: a video is broken and the config says to fail.
        StoreError: the store is damaged, or was made by something else, or a video changed since.
    """
    if config.mode == "live":
        return LiveSource(videos, recipe=recipe, config=config, progress=progress)
    exchange(store, progress)
    found = look_up(store, videos, recipe.provenance()) if has_store(store) else None
    if found is None or len(found.videos) < len(videos) or found.broken():
        extract(store, videos, recipe=recipe, config=config, progress=progress)
        return StoredSource.open(store, videos, recipe=recipe, config=config)
    progress.advance(len(videos), total=len(videos))
    return StoredSource(found, recipe=recipe, config=config)


class StoredSource(FeatureSource):
    """Features of the videos found in a store, read through memory maps; errors as of `open_source`."""

    def __init__(self, found: Located, *, recipe: Recipe, config: FeaturesConfig) -> None:
        refuse_changed(found)
        skipped = found.reasons()
        refuse_broken(skipped, config.on_broken_video)
        super().__init__(config, frames=recipe.frames, dim=recipe.encoder.dim, views=recipe.views, skipped=skipped)
        self._shards = map_shards(found)
        self._by_key = found.by_key
        # One more than there are places: what is not found is place -1, the last.
        self._held = np.zeros(int(found.index.starts[-1]) + 1, np.bool_)
        self._held[found.places] = True
        self._readable = self._held.copy()
        self._readable[list(found.broken())] = False

    @classmethod
    def open(cls, path: Path, videos: Sequence[Video], *, recipe: Recipe, config: FeaturesConfig) -> "StoredSource":
        """Open the store at `path` for `videos`; errors as of `open_source`, and a StoreError if it lacks a video."""
        exchange(path)
        found = look_up(path, videos, recipe.provenance())
        refuse_missing(found, videos, remedy="run `essential extract` first (every one of its --shard parts)")
        return cls(found, recipe=recipe, config=config)

    def view(self, videos: Sequence[Video], view: int) -> FrameTable:
        """Return one view of the videos, without the skipped ones; a StoreError if the store lacks it."""
        places = np.array([self._by_key[video.split].get(video.key, -1) for video in videos], np.int64)
        unknown = np.flatnonzero(~self._held[places])
        if len(unknown):
            video = videos[int(unknown[0])]
            raise StoreError(f"{video.key} ({video.split}) is not one of the videos that this source was opened for")
        self._refuse_view(videos, view)
        readable = self._readable[places]
        if not readable.all():
            videos = [video for video, is_readable in zip(videos, readable.tolist(), strict=True) if is_readable]
        return FrameTable(videos, self._shards.reader(places[readable], view))

    def _refuse_view(self, videos: Sequence[Video], view: int) -> None:
        for split in {video.split for video in videos}:
            held = view_numbers(split, self.views or 0)
            if view not in held:
                key = next(video.key for video in videos if video.split == split)
                raise StoreError(
                    f"view {view} of the {split} video {key} is not in the store; it holds views 0 to {held[-1]}"
                )


class LiveSource(FeatureSource):
    """Features made from the video files each time they are asked for, and kept in memory while they are used.

    Every video is decoded once when it is made; a DataError lists the broken ones, if the config says to fail.
    """

    def __init__(
        self,
        videos: Sequence[Video],
        *,
        recipe: Recipe,
        config: FeaturesConfig,
        progress: Progress = QUIET,
    ) -> None:
        super().__init__(config, frames=recipe.frames, dim=recipe.encoder.dim, views=None, skipped={})
        self._recipe = recipe
        items = [(video, recipe.request((0,))) for video in videos]
        short = ShortClips(recipe.frames_read)
        workers = decoders(config.workers)
        with closing(read_each(items, widest=items, longest=len(items), config=config, workers=workers)) as every:
            for done, (_, read) in enumerate(every, 1):
                self.skipped |= _broken([read.note])
                short.add(read.frame_count)
                progress.advance(done, total=len(videos))
        short.tell(progress)
        refuse_broken(self.skipped, config.on_broken_video)

    def view(self, videos: Sequence[Video], view: int) -> FrameTable:
        """Decode and encode one view of the videos, without the skipped ones; a DataError if more are broken by now."""
        asked = [video for video in videos if video.key not in self.skipped]
        encoded = encode_all(asked, self._recipe.request((view,)), recipe=self._recipe, config=self._config)
        # Whatever the policy: a run's clips must not change from epoch to epoch.
        refuse_broken(_broken(one.note for one in encoded))
        features = [one.features[0] for one in encoded if one.features is not None]
        held = np.stack(features) if features else np.zeros((0, self.frames, self.dim), np.float32)
        return FrameTable(asked, held.__getitem__)


def encode_all(
    videos: Sequence[Video],
    request: ViewRequest,
    *,
    recipe: Recipe,
    config: FeaturesConfig,
    progress: Progress = QUIET,
) -> list[EncodedVideo]:
    """Encode views of videos; return the result for each video, in their order."""
    encoded: dict[int, EncodedVideo] = {}
    with closing(encode_each([(video, request) for video in videos], recipe=recipe, config=config)) as every:
        for place, one in every:
            encoded[place] = one
            progress.advance(len(encoded), total=len(videos))
    return [encoded[place] for place in range(len(videos))]


def _broken(notes: Iterable[VideoNote]) -> dict[str, str]:
    return {note.key: note.broken for note in notes if note.broken is not None}
