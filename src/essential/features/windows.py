"""A long video in, the features of its windows out: no frame is encoded twice where the encoder takes single frames.

What is encoded is a clip, with every encoder. One of single frames is given the frames of all windows in their order, T
at a time, and a window's features are gathered from theirs; any other is given the windows.

A thread decodes and scales the next clip while this one is encoded: FFmpeg and torch both let other threads run.
`benchmarks/speed/windows.py` has what it all gives.
"""

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from essential.features.pipeline import ClipEncoder
from essential.features.provenance import Recipe
from essential.progress import Progress
from essential.video.windows import WindowedVideo

# A prediction has a cost of its own, whatever the number of windows.
_AT_ONCE = 16

Read = Int64[np.ndarray, "windows read"]
Clips = Int64[np.ndarray, "clips read"]
Pixels = Float[Tensor, "read 3 size size"]
Rows = Int64[np.ndarray, "windows frames"]


def window_features(
    video: WindowedVideo, encoder: ClipEncoder, *, recipe: Recipe, workers: int, progress: Progress
) -> Generator[Float[np.ndarray, "windows frames dim"], None, None]:
    """Yield the features of the windows, in their order, some windows at a time; those of few are in memory.

    Close the generator to end its thread. A VideoError if the file is damaged or cut short, perhaps after some windows.

    Args:
        workers: 0 decodes in this thread, anything else in one beside it.
        progress: shows how many windows are encoded.
    """
    numbers, frames = np.array([window.frames for window in video.windows]), recipe.frames
    clips, rows = (_shared if recipe.encoder.per_frame else _each)(numbers, frames)
    held: deque[Float[np.ndarray, "frames dim"]] = deque()
    given = dropped = 0
    pixels = video.clips(clips, recipe.encoder.pixel_format)
    with closing(_ahead(pixels) if workers else pixels) as read:
        for features in _encoded(read, encoder):
            held.append(features)
            ready = int(np.searchsorted(rows[:, -1], (dropped + len(held)) * frames))
            progress.advance(ready)
            if ready == len(rows) or ready - given >= _AT_ONCE:
                yield np.concatenate(held)[rows[given:ready] - dropped * frames]
                given = ready
                while given < len(rows) and dropped < rows[given, 0] // frames:
                    held.popleft()
                    dropped += 1


def _shared(windows: Read, frames: int) -> tuple[Clips, Rows]:
    """Return the frames of all windows, each once, as clips, and which rows of their features are each window's.

    The last frame is repeated until its clip is whole.
    """
    numbers, rows = np.unique(windows, return_inverse=True)
    whole = np.pad(numbers, (0, -len(numbers) % frames), mode="edge")
    return whole.reshape(-1, frames), rows.reshape(windows.shape)


def _each(windows: Read, frames: int) -> tuple[Clips, Rows]:
    """Return the windows as clips, and which rows of their features are each window's."""
    return windows, np.arange(len(windows) * frames).reshape(-1, frames)


def _encoded(pixels: Iterable[Pixels], encoder: ClipEncoder) -> Iterator[Float[np.ndarray, "frames dim"]]:
    for place, clip in enumerate(pixels):
        yield from (features[0] for _, features in encoder.add(place, clip[None]))
    yield from (features[0] for _, features in encoder.finish())


def _ahead(items: Generator[Pixels, None, None]) -> Generator[Pixels, None, None]:
    """Yield the items, each next one drawn in a thread meanwhile."""
    # As in a worker, torch has one thread there: frames are too small to share.
    with closing(items), ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        following = pool.submit(next, items, None)
        while (item := following.result()) is not None:
            following = pool.submit(next, items, None)
            yield item
