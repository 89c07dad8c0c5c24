"""The frame features of many videos at one view, read by row."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from essential.features.lookup import Located
from essential.features.maps import ShardMaps
from essential.protocols.protocol import Video


@runtime_checkable
class FrameTable(Protocol):
    """Frame features of `videos`, which are those asked for without the skipped ones, in the order asked."""

    @property
    def videos(self) -> tuple[Video, ...]:
        """The video of each row."""

    def __len__(self) -> int:
        """Return the number of rows."""

    def rows(self, indices: Int64[Tensor, " batch"]) -> Float[Tensor, "batch frames dim"]:
        """Return the features of these rows, as float32, in the order asked; repeats are allowed."""


class MemoryTable:
    """A table held in memory."""

    def __init__(self, videos: Sequence[Video], features: Float[np.ndarray, "rows frames dim"]) -> None:
        self.videos = tuple(videos)
        self._features = features

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.videos)

    def rows(self, indices: Int64[Tensor, " batch"]) -> Float[Tensor, "batch frames dim"]:
        """Return the features of these rows, as float32, in the order asked; repeats are allowed."""
        return torch.from_numpy(self._features[indices.numpy()].astype(np.float32))


class MappedTable:
    """A table that reads each batch from the shards' memory maps."""

    def __init__(self, places: Sequence[Located], view: int, *, shape: tuple[int, int], maps: ShardMaps) -> None:
        """Hold one view of the videos at `places`.

        Args:
            places: a row each.
            view: its place on the shards' second axis.
            shape: (frames, dim) of a row.
            maps: gives the shards' features.
        """
        self.videos = tuple(place.video for place in places)
        self._view = view
        self._shape = shape
        self._maps = maps
        self._shards = {place.shard.index: place.shard for place in places}
        self._shard_of = np.array([place.shard.index for place in places], np.int64)
        self._row_of = np.array([place.row for place in places], np.int64)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.videos)

    def rows(self, indices: Int64[Tensor, " batch"]) -> Float[Tensor, "batch frames dim"]:
        """Return the features of these rows, as float32, in the order asked; repeats are allowed."""
        shard_of, row_of = self._shard_of[indices.numpy()], self._row_of[indices.numpy()]
        batch = np.empty((len(shard_of), *self._shape), np.float32)
        for shard in np.unique(shard_of):
            chosen = np.flatnonzero(shard_of == shard)
            batch[chosen] = self._maps.open(self._shards[int(shard)])[row_of[chosen], self._view]
        return torch.from_numpy(batch)
