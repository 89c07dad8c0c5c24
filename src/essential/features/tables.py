"""The frame features of many videos at one view, read by row."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from essential.protocols.protocol import Video

# Takes the numbers of rows; gives a copy of these rows, in the type they are kept in.
Reader = Callable[[Int64[np.ndarray, " batch"]], Float[np.ndarray, "batch frames dim"]]


class FrameTable:
    """Frame features of `videos`, which are those asked for without the skipped ones, in the order asked.

    Args:
        videos: the video of each row.
        read: gives rows; for an array held in memory, its `__getitem__`.
    """

    def __init__(self, videos: Sequence[Video], read: Reader) -> None:
        self.videos = tuple(videos)
        self._read = read

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.videos)

    def rows(self, indices: Int64[Tensor, " batch"]) -> Float[Tensor, "batch frames dim"]:
        """Return the features of these rows, as float32, in the order asked; repeats are allowed."""
        return torch.from_numpy(self._read(indices.numpy())).float()
