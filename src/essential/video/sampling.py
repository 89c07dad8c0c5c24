"""Which frames of a video make a clip."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int64


def segment_indices(frame_count: int, segments: int, *, generator: np.random.Generator | None) -> list[int]:
    """Cut a video into equal segments and return the index of one frame of each, sorted.

    The segments are cut in real numbers, `frame_count / segments` long, so every frame is in reach of a draw whatever
    the remainder; this is TSN's sampling (Wang et al. 2016) without its rounding to whole frames. A video shorter than
    `segments` repeats frames.

    Args:
        generator: draws a place inside each segment (training); None takes the segment centres (evaluation).

    Raises:
        ValueError: either number is below 1.
    """
    if frame_count < 1 or segments < 1:
        raise ValueError(f"cannot take {segments} segments of {frame_count} frames; both must be 1 or more")
    if generator is None:
        return [(2 * segment + 1) * frame_count // (2 * segments) for segment in range(segments)]
    return [int(index) for index in segment_table(frame_count, generator.random((1, segments)))[0]]


def segment_table(
    frame_count: int, draws: Float[np.ndarray, "videos segments"]
) -> Int64[np.ndarray, "videos segments"]:
    """Return a frame of each equal segment of many videos of `frame_count` frames.

    Args:
        draws: where in its segment each frame lies, from 0 to below 1; 0.5 is the centre.
    """
    places = (np.arange(draws.shape[1]) + draws) * frame_count / draws.shape[1]
    # A draw next to 1 in the last segment may round up to the end of the video.
    indices: np.ndarray[Any, np.dtype[np.int64]] = np.minimum(places.astype(np.int64), frame_count - 1)
    return indices
