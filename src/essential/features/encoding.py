"""Clips in, features out, in batches of one shape that run across videos, so that a GPU always has a full one."""

from collections import deque
from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from essential.encoders.base import FrameEncoder
from essential.errors import DataError
from essential.features.config import FeatureType, Precision

_CPU_CLIPS, _GPU_CLIPS = 1, 32

Clips = Float[Tensor, "views frames 3 size size"]
VideoFeatures = Float[np.ndarray, "views frames dim"]


class ClipEncoder:
    """Encodes the clips of one video after the other; a batch may hold clips of several.

    Every batch has the same shape, and what the last one lacks is filled with zeros: the rounding of a matrix product
    depends on how many rows it has, so a clip's features must not depend on how many other clips there are. On a CPU a
    batch is one clip unless something else is asked for. Live and stored features are then equal to the last bit, and
    so are features extracted in one go and in several.

    On a GPU the features of a batch are fetched when the next one has been sent, so that the GPU computes while this
    process fills a batch. Pixels are sent from pinned memory.
    """

    def __init__(self, encoder: FrameEncoder, *, frames: int, batch_clips: int | None, precision: Precision) -> None:
        self._encoder = encoder
        self._device = device_of(encoder)
        self._precision = precision
        on_cpu = self._device.type == "cpu"
        clips = batch_clips or (_CPU_CLIPS if on_cpu else _GPU_CLIPS)
        size = encoder.pixel_format.size
        # In turns: one is filled while the other may still be on its way to the GPU.
        self._buffers = deque(
            torch.zeros(clips, frames, 3, size, size, pin_memory=self._device.type == "cuda")
            for _ in range(1 if on_cpu else 2)
        )
        self._filled = 0
        self._unfetched = 0 if on_cpu else 1
        self._sent: deque[tuple[Tensor, int]] = deque()
        # In the order in which they came: the features of clips, and the videos with how many clips each has.
        self._features: deque[Float[np.ndarray, "frames dim"]] = deque()
        self._videos: deque[tuple[int, int]] = deque()

    def add(self, place: int, clips: Clips) -> Iterator[tuple[int, VideoFeatures]]:
        """Take a video's clips, which may be written over afterwards, and yield what is complete by now.

        Args:
            place: yielded with the video's features, by this method or by `finish`.
        """
        self._videos.append((place, len(clips)))
        for clip in clips:
            self._buffers[0][self._filled] = clip
            self._filled += 1
            if self._filled == len(self._buffers[0]):
                self._send()
        return self._complete()

    def finish(self) -> Iterator[tuple[int, VideoFeatures]]:
        """Encode what still waits for a batch to be full, and yield the rest."""
        if self._filled:
            self._buffers[0][self._filled :] = 0
            self._send()
        while self._sent:
            self._fetch()
        return self._complete()

    def _send(self) -> None:
        pixels = self._buffers[0].to(self._device, non_blocking=True)
        mixed = torch.autocast(self._device.type, torch.bfloat16, enabled=self._precision == "bfloat16")
        with torch.inference_mode(), mixed:
            self._sent.append((self._encoder(pixels), self._filled))
        self._filled = 0
        self._buffers.rotate()
        while len(self._sent) > self._unfetched:
            self._fetch()

    def _fetch(self) -> None:
        encoded, filled = self._sent.popleft()
        self._features += list(encoded.float().cpu().numpy()[:filled])

    def _complete(self) -> Iterator[tuple[int, VideoFeatures]]:
        while self._videos and self._videos[0][1] <= len(self._features):
            place, clips = self._videos.popleft()
            yield place, np.stack([self._features.popleft() for _ in range(clips)])


def as_stored(features: VideoFeatures, dtype: FeatureType, *, encoder: FrameEncoder, key: str) -> VideoFeatures:
    """Return the features of the video `key` as `dtype`; a DataError if one is not finite, or too large for it."""
    with np.errstate(over="ignore"):
        stored = features.astype(dtype)
    if not np.isfinite(stored).all():
        raise DataError(
            f"the encoder {encoder.name} gave features of {key} that are not finite as {dtype}; "
            "use features.dtype=float32, or another encoder"
        )
    return stored


def device_of(encoder: FrameEncoder) -> torch.device:
    """Return where the encoder computes."""
    return next(encoder.parameters()).device
