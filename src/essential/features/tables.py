"""The frame features of many videos at one view, read by row."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from essential.features.maps import ShardRows
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
        return torch.from_numpy(self._features[indices.numpy()]).float()


class MappedTable:
    """A table that reads each batch from the shards' memory maps."""

    def __init__(
        self, videos: Sequence[Video], places: Int64[np.ndarray, " rows"], view: int, *, shards: ShardRows
    ) -> None:
        """Hold one view of `videos`, which are at `places` of `shards`."""
        self.videos = tuple(videos)
        self._rows = shards.reader(places, view)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.videos)

    def rows(self, indices: Int64[Tensor, " batch"]) -> Float[Tensor, "batch frames dim"]:
        """Return the features of these rows, as float32, in the order asked; repeats are allowed."""
        return torch.from_numpy(self._rows(indices.numpy())).float()
