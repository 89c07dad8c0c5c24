"""What reading a video gives, whatever the video is stored as, and how pictures of it are asked for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8

Choose = Callable[[int], Sequence[int]]
Picture = np.ndarray[Any, np.dtype[np.uint8]]

FEWEST_PICTURES = 2


@dataclass(frozen=True, slots=True)
class DecodedFrames:
    """Pictures in the order asked for, and how many the video, or its segment, has to choose from."""

    frames: UInt8[np.ndarray, "frames height width 3"]
    frame_count: int


def checked_indices(choose: Choose, count: int) -> list[int]:
    """Return the indices that `choose` gives for `count` pictures, as a list.

    Raises:
        ValueError: there is none, or one is outside the pictures.
    """
    indices = list(choose(count))
    if not indices or not all(0 <= index < count for index in indices):
        raise ValueError(f"choose({count}) gave {indices}; give one index or more, each from 0 to {count - 1}")
    return indices


def short_reason(message: str, name: object) -> str:
    """Return why a file or a folder of frames cannot be read, without its name and what to do: the same for all."""
    reason = message.removeprefix(f"cannot read video {name}: ")
    return reason.removeprefix(f"cannot read the folder of frames {name}: ").partition("; expected ")[0]
