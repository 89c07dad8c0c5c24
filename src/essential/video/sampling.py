"""Which frames of a video make a clip."""

import numpy as np


def segment_indices(frame_count: int, segments: int, *, generator: np.random.Generator | None) -> list[int]:
    """Cut a video into equal segments and take one frame of each.

    Args:
        frame_count: frames in the video.
        segments: frames wanted.
        generator: draws a place inside each segment (training); None takes the centres (evaluation).

    Returns:
        `segments` indices from 0 to `frame_count - 1`, sorted. A video shorter than that repeats frames.

    The segments are cut in real numbers, `frame_count / segments` long, so every frame is in reach of a draw whatever
    the remainder; this is TSN's sampling (Wang et al. 2016) without its rounding to whole frames.

    Raises:
        ValueError: either number is below 1.
    """
    if frame_count < 1 or segments < 1:
        raise ValueError(f"cannot take {segments} segments of {frame_count} frames; both must be 1 or more")
    if generator is None:
        return [(2 * segment + 1) * frame_count // (2 * segments) for segment in range(segments)]
    places = (np.arange(segments) + generator.random(segments)) * frame_count / segments
    # A draw next to 1 in the last segment may round up to the end of the video.
    return [min(int(place), frame_count - 1) for place in places]
