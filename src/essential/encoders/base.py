"""What every frame encoder is: a frozen network from the frames of clips to one feature per frame."""

import hashlib
import json
from abc import ABC, abstractmethod
from dataclasses import asdict
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor, nn

from essential.errors import ConfigError
from essential.video.config import PixelFormat


class FrameEncoder(nn.Module, ABC):
    """A frozen encoder, always in evaluation mode and without gradients, that gives `dim` numbers for each frame.

    Args:
        architecture: what the weights do not say about the computation; it changes whenever that changes.
    """

    def __init__(self, name: str, *, dim: int, pixel_format: PixelFormat, architecture: str) -> None:
        super().__init__()
        self.name = name
        self.dim = dim
        self.pixel_format = pixel_format
        self.architecture = architecture

    @abstractmethod
    def encode(self, clips: Float[Tensor, "batch frames 3 size size"]) -> Float[Tensor, "batch frames dim"]:
        """Return one feature for each frame; called without gradients, with pixels of the right size."""

    def check_frames(self, frames: int) -> None:
        """Raise a ConfigError for a number of frames that the encoder cannot take; most take any."""

    def forward(self, clips: Float[Tensor, "batch frames 3 height width"]) -> Float[Tensor, "batch frames dim"]:
        """Return a feature for each frame; a ConfigError for frames of another size or number than it takes."""
        size, (height, width) = self.pixel_format.size, clips.shape[-2:]
        if (height, width) != (size, size):
            raise ConfigError(
                f"encoder {self.name!r} wants frames of {size} x {size} pixels, not {height} x {width}; "
                "make the views with its own pixel_format"
            )
        self.check_frames(clips.shape[1])
        with torch.no_grad():
            return self.encode(clips)

    def train(self, mode: bool = True) -> "FrameEncoder":
        """Stay in evaluation mode: a frozen encoder has no other."""
        del mode
        return super().train(False)

    def freeze(self) -> "FrameEncoder":
        """Switch off every gradient and return self; the last step of building one."""
        return self.requires_grad_(False).eval()

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over weights, architecture and pixel format: equal fingerprints mean equal features."""
        description = [self.name, self.dim, self.architecture, asdict(self.pixel_format)]
        digest = hashlib.sha256(json.dumps(description).encode())
        for name, tensor in sorted(self.state_dict().items()):
            digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()
