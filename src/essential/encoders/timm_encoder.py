"""Frames through an image model of timm, each on its own."""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from essential.encoders.adapted_clip import build_adapted_clip
from essential.encoders.base import FrameEncoder
from essential.encoders.clip_layout import is_clip_layout, to_clip_name, to_timm_names
from essential.encoders.config import EncoderConfig
from essential.encoders.timm_network import (
    build_network,
    classifier_keys,
    describe,
    feature_width,
    pixel_format_of,
    resize,
)
from essential.encoders.weight_files import fit_weights, read_weights
from essential.video.transforms import PixelFormat


class TimmEncoder(FrameEncoder):
    """The pooled features of a timm model, before any head."""

    def __init__(
        self, name: str, network: nn.Module, *, dim: int, pixel_format: PixelFormat, architecture: str
    ) -> None:
        super().__init__(name, dim=dim, pixel_format=pixel_format, architecture=architecture)
        self.network = network

    def encode(self, clips: Float[Tensor, "batch frames 3 size size"]) -> Float[Tensor, "batch frames dim"]:
        """Encode each frame on its own."""
        # Channels-last takes a quarter of a convolutional network's time away on a CPU, and changes nothing for a ViT.
        frames = clips.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        return torch.unflatten(self.network(frames), 0, clips.shape[:2])


def build_timm(config: EncoderConfig) -> FrameEncoder:
    """Return the timm model that `config` describes, with its weights, on the CPU.

    Raises:
        ConfigError: timm has no such model, or it does not take the arguments or the size.
        CheckpointError: the weights are missing, damaged, or another network's.
    """
    if config.is_temporal:
        return build_adapted_clip(config)
    network = build_network(config)
    if isinstance(config.weights, Path):
        load_network(network, config, config.weights)
    resize(network, config)
    pixel_format = pixel_format_of(network, config)
    dim = feature_width(network, config, size=pixel_format.size)
    encoder = TimmEncoder(config.name, network, dim=dim, pixel_format=pixel_format, architecture=describe(config))
    return encoder.freeze()


def load_network(network: nn.Module, config: EncoderConfig, path: Path) -> None:
    """Load a weight file in timm's names or in CLIP's into a network without adapters.

    Raises:
        CheckpointError: see `read_weights` and `fit_weights`.
    """
    state = read_weights(path)
    if not is_clip_layout(state):
        fit_weights(network, state, path=path, encoder=config.name, leftovers=classifier_keys(network))
        return
    # Checkpoints of the authors hold a temporal embedding even where their tower does not add it.
    state, unused = to_timm_names(state), ("temporal_embedding",)
    fit_weights(network, state, path=path, encoder=config.name, leftovers=unused, shown=to_clip_name)
