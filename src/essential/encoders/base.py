"""What every encoder is: a frozen network from a clip to `frames` features, one a frame or one a part of its time.

An encoder takes each frame on its own, or the whole clip: it then reads as many frames as it was made for, and gives a
feature for each of its steps in time, S of them. These are brought to the T features that a method has of a clip by one
rule (`over_time`): the clip's time is cut into T equal parts, and a part's feature is the mean of the steps that reach
into it, step floor(i S / T) to ceil((i + 1) S / T) - 1 for part i. With S = T nothing changes.
"""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor, nn

from essential.errors import ConfigError
from essential.video.config import PixelFormat


class Encoder(nn.Module, ABC):
    """A frozen encoder, always in evaluation mode and without gradients, that gives features of `dim` numbers.

    Args:
        architecture: what the weights do not say about the computation; it changes whenever that changes.
        per_frame: whether each feature is of one frame, and depends on that frame alone; never with `clip_frames`, as
            then a feature may be the mean of several.
        clip_frames: how many frames of a clip it reads, however many features are wanted; None: one for each.
    """

    def __init__(
        self,
        name: str,
        *,
        dim: int,
        pixel_format: PixelFormat,
        architecture: str,
        per_frame: bool = False,
        clip_frames: int | None = None,
    ) -> None:
        super().__init__()
        self.name = name
        self.dim = dim
        self.pixel_format = pixel_format
        self.architecture = architecture
        self.per_frame = per_frame and clip_frames is None
        self.clip_frames = clip_frames

    @abstractmethod
    def encode(self, clips: Float[Tensor, "batch read 3 size size"]) -> Float[Tensor, "batch steps dim"]:
        """Return a feature for each frame or step in time; called without gradients, with pixels of the right size."""

    def check_frames(self, frames: int) -> None:
        """Raise a ConfigError for a number of features that the encoder cannot give of a clip; most give any."""

    def frames_read(self, frames: int) -> int:
        """Return how many frames of a clip are read for so many features."""
        return self.clip_frames or frames

    def forward(
        self, clips: Float[Tensor, "batch read 3 height width"], frames: int | None = None
    ) -> Float[Tensor, "batch frames dim"]:
        """Return `frames` features for each clip, without it one for each frame or step that the encoder has.

        Raises:
            ConfigError: the frames have another size, or are others in number, than it takes.
        """
        size, (height, width) = self.pixel_format.size, clips.shape[-2:]
        if (height, width) != (size, size):
            raise ConfigError(
                f"encoder {self.name!r} wants frames of {size} x {size} pixels, not {height} x {width}; "
                "make the views with its own pixel_format"
            )
        if clips.shape[1] != self.frames_read(clips.shape[1]):
            raise ConfigError(
                f"the encoder {self.name!r} reads {self.clip_frames} frames of a clip, not {clips.shape[1]}; make the "
                "views with its own frames_read"
            )
        self.check_frames(frames or clips.shape[1])
        with torch.no_grad():
            encoded = self.encode(clips)
            return encoded if frames is None else over_time(encoded, frames)

    def train(self, mode: bool = True) -> "Encoder":
        """Stay in evaluation mode: a frozen encoder has no other."""
        del mode
        return super().train(False)

    def freeze(self) -> "Encoder":
        """Switch off every gradient and return self; the last step of building one."""
        return self.requires_grad_(False).eval()

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over weights, architecture and pixel format: equal fingerprints mean equal features."""
        description = [self.name, self.dim, self.architecture, asdict(self.pixel_format)]
        if self.clip_frames is not None:
            description.append(self.clip_frames)
        return digest(json.dumps(description), self.state_dict())


def digest(description: str, tensors: Mapping[str, Tensor]) -> str:
    """Return SHA-256 over a description and tensors with their names, in the order of these."""
    summed = hashlib.sha256(description.encode())
    for name, tensor in sorted(tensors.items()):
        summed.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}".encode())
        summed.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return summed.hexdigest()


def over_time(features: Float[Tensor, "batch steps dim"], frames: int) -> Float[Tensor, "batch frames dim"]:
    """Return the features of `frames` equal parts of the clips' time, by the rule at the top of this file."""
    steps = features.shape[1]
    if steps == frames:
        return features
    parts = [(part * steps // frames, -(-(part + 1) * steps // frames)) for part in range(frames)]
    return torch.stack([features[:, first:last].mean(dim=1) for first, last in parts], dim=1)
