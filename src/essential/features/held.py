"""Features of a few videos, encoded once and held in memory: where clips come and go, and no store is wanted."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from essential.features.config import FeaturesConfig
from essential.features.lookup import refuse_broken
from essential.features.pipeline import EncodedVideo, encode_each
from essential.features.provenance import Recipe
from essential.features.tables import FrameTable, MemoryTable
from essential.protocols.protocol import Video


class HeldSource:
    """A `FeatureSource` of videos that were encoded before.

    Args:
        features: of every view of every video, by its key.
        frames: frames per clip.
        dim: numbers per frame.
        skipped: why each video that is left out could not be read, by key.
    """

    def __init__(
        self,
        features: Mapping[str, Float[np.ndarray, "views frames dim"]],
        *,
        frames: int,
        dim: int,
        skipped: dict[str, str],
    ) -> None:
        self.frames, self.dim, self.skipped = frames, dim, skipped
        self._features = features
        self._views = min((len(views) for views in features.values()), default=1) - 1

    def view(self, videos: Sequence[Video], view: int) -> FrameTable:
        """Return one view of the videos: 0 is the plain view, others are augmented. Skipped videos are left out."""
        readable = [video for video in videos if video.key not in self.skipped]
        none = np.zeros((0, self.frames, self.dim), np.float32)
        rows = [self._features[video.key][view] for video in readable]
        return MemoryTable(readable, np.stack(rows) if rows else none)

    def training_view(self, epoch: int) -> int:
        """Return the augmented view whose turn it is; the plain view if there is no other."""
        return 1 + epoch % self._views if self._views else 0


def encode_and_hold(
    videos: Sequence[Video],
    *,
    recipe: Recipe,
    config: FeaturesConfig,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[HeldSource, dict[str, str]]:
    """Encode the plain view and `recipe.views` augmented ones of each video, and hold them.

    Args:
        videos: each with a key of its own.
        recipe: what decides the numbers.
        config: workers, and what a broken video means.
        progress: called with (videos done, videos in all).

    Returns:
        The source, and the SHA-256 of every readable video's content by its key.

    Raises:
        DataError: a video is broken and the config says to fail.
    """
    features: dict[str, Float[np.ndarray, "views frames dim"]] = {}
    skipped: dict[str, str] = {}
    hashes: dict[str, str] = {}

    def consume(_: int, encoded: EncodedVideo) -> None:
        note = encoded.note
        if encoded.features is None:
            skipped[note.key] = note.broken or "it could not be read"
        else:
            features[note.key] = encoded.features
            hashes[note.key] = note.sha256 or ""
        if progress is not None:
            progress(len(features) + len(skipped), len(videos))

    request = recipe.request(tuple(range(recipe.views + 1)))
    encode_each([(video, request) for video in videos], consume, recipe=recipe, config=config)
    if config.on_broken_video == "fail":
        refuse_broken(skipped)
    return HeldSource(features, frames=recipe.frames, dim=recipe.encoder.dim, skipped=skipped), hashes
