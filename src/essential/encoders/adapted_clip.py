"""AIM: a frozen CLIP ViT whose blocks also attend over time, by small trained adapters.

Yang et al., "AIM: Adapting Image Models for Efficient Video Action Recognition", ICLR 2023, section 3. A block attends,
with the same weights,

1. over the frames, at each place on its own: x + after_time(attention(before_time(norm1(x))));
2. over the places of each frame: x + space(attention(norm1(x)));
3. and its MLP runs beside an adapter: x + mlp(norm2(x)) + 0.5 joint(norm2(x)).

`before_time` is there only with two temporal adapters. `before_time` and `space` add what they are given, the others do
not. Frames know their order by a temporal embedding that is added to every token before the first norm.
"""

from pathlib import Path

import torch
from jaxtyping import Float
from timm.models import VisionTransformer
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.nn.functional import gelu

from essential.encoders.base import Encoder
from essential.encoders.clip_layout import to_clip_name, to_timm_names
from essential.encoders.config import EncoderConfig
from essential.encoders.timm_encoder import build_network, describe, pixel_format_of, resize
from essential.encoders.weight_files import State, fit_weights, read_weights
from essential.errors import CheckpointError, ConfigError
from essential.video.config import PixelFormat

# The part of the joint adapter in a block's sum.
_JOINT_SCALE = 0.5


class Adapter(nn.Module):
    """Down to a few numbers, GELU, and up again."""

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        # Their numbers come from a file; none are drawn.
        self.down = nn.utils.skip_init(nn.Linear, dim, width)
        self.up = nn.utils.skip_init(nn.Linear, width, dim)

    def forward(self, tokens: Float[Tensor, "*places dim"]) -> Float[Tensor, "*places dim"]:
        """Return what is added to the tokens, or taken in their stead."""
        adapted: Tensor = self.up(gelu(self.down(tokens)))
        return adapted


class AdaptedBlock(nn.Module):
    """A block of timm's ViT with AIM's adapters; its own modules keep their names."""

    def __init__(self, block: nn.Module, dim: int, *, width: int, temporal_adapters: int) -> None:
        super().__init__()
        assert isinstance(block, Block), "a CLIP ViT has no others"
        self.norm1, self.attn, self.norm2, self.mlp = block.norm1, block.attn, block.norm2, block.mlp
        self.before_time = Adapter(dim, width) if temporal_adapters == 2 else None
        self.after_time = Adapter(dim, width)
        self.space = Adapter(dim, width)
        self.joint = Adapter(dim, width)

    def forward(
        self, tokens: Float[Tensor, "sequences places dim"], frames: int
    ) -> Float[Tensor, "sequences places dim"]:
        """Return the tokens of clips of `frames` frames each after the block."""
        over_time = _turned(self.norm1(tokens), frames)
        if self.before_time is not None:
            over_time = over_time + self.before_time(over_time)
        over_time = self.after_time(self.attn(over_time))
        tokens = tokens + _turned(over_time, tokens.shape[1])
        attended = self.attn(self.norm1(tokens))
        tokens = tokens + attended + self.space(attended)
        normed = self.norm2(tokens)
        result: Tensor = tokens + self.mlp(normed) + _JOINT_SCALE * self.joint(normed)
        return result


def _turned(tokens: Float[Tensor, "sequences places dim"], rows: int) -> Float[Tensor, "turned rows dim"]:
    """Exchange the sequences of a clip, `rows` of them, with the places of each; undone by turning again."""
    turned: Tensor = tokens.unflatten(0, (-1, rows)).transpose(1, 2).flatten(0, 1)
    return turned


class AdaptedClip(Encoder):
    """The class token of each frame after the final norm, from a CLIP ViT some of whose blocks are `AdaptedBlock`."""

    def __init__(
        self,
        name: str,
        network: VisionTransformer,
        *,
        pixel_format: PixelFormat,
        architecture: str,
        temporal_embedding: Float[Tensor, "1 frames dim"] | None,
    ) -> None:
        super().__init__(name, dim=network.embed_dim, pixel_format=pixel_format, architecture=architecture)
        self.network = network
        self.temporal_embedding = None if temporal_embedding is None else nn.Parameter(temporal_embedding)

    def check_frames(self, frames: int) -> None:
        """Raise a ConfigError for another number of frames than the temporal embedding's."""
        if self.temporal_embedding is not None and frames != self.temporal_embedding.shape[1]:
            raise ConfigError(
                f"the encoder {self.name!r} has a temporal embedding of {self.temporal_embedding.shape[1]} frames "
                f"and cannot take clips of {frames}; set video.frames={self.temporal_embedding.shape[1]}"
            )

    def encode(self, clips: Float[Tensor, "batch frames 3 size size"]) -> Float[Tensor, "batch frames dim"]:
        """Encode the frames of each clip together."""
        frames = clips.shape[1]
        tokens = self._tokens(clips)
        for block in self.network.blocks:
            tokens = block(tokens, frames) if isinstance(block, AdaptedBlock) else block(tokens)
        features = self.network.norm(tokens[:, 0])
        return torch.unflatten(features, 0, clips.shape[:2])

    def _tokens(self, clips: Float[Tensor, "batch frames 3 size size"]) -> Float[Tensor, "sequences places dim"]:
        network = self.network
        assert network.cls_token is not None
        assert network.pos_embed is not None, "a CLIP ViT has both"
        patches = network.patch_embed(clips.flatten(0, 1))
        tokens = torch.cat([network.cls_token.expand(patches.shape[0], -1, -1), patches], dim=1) + network.pos_embed
        if self.temporal_embedding is not None:
            tokens = tokens + self.temporal_embedding[0].repeat(clips.shape[0], 1).unsqueeze(1)
        normed: Tensor = network.norm_pre(tokens)
        return normed


def build_adapted_clip(config: EncoderConfig) -> Encoder:
    """Return the CLIP ViT with the adapters and temporal embedding of its weight file; errors as of `build_encoder`."""
    assert isinstance(config.weights, Path), "the config's own check"
    network = _clip_vit(build_network(config), config)
    state = to_timm_names(read_weights(config.weights))
    embedding = state.pop("temporal_embedding", None)
    layers = _adapted_layers(network, config)
    for layer in layers:
        network.blocks[layer] = AdaptedBlock(
            network.blocks[layer],
            network.embed_dim,
            width=_width(state, config.weights),
            temporal_adapters=config.temporal_adapters,
        )
    fit_weights(network, state, path=config.weights, encoder=config.name, shown=to_clip_name)
    resize(network, config)
    return AdaptedClip(
        config.name,
        network,
        pixel_format=pixel_format_of(network, config),
        architecture=f"{describe(config)} adapters {config.temporal_adapters} in {list(layers)}",
        temporal_embedding=_checked(embedding, network, config) if config.adds_temporal_embedding else None,
    )


def _clip_vit(network: nn.Module, config: EncoderConfig) -> VisionTransformer:
    """Return the network if it computes what `AdaptedClip` computes of it."""
    if (
        not isinstance(network, VisionTransformer)
        or network.global_pool != "token"
        or network.num_prefix_tokens != 1
        or isinstance(network.norm_pre, nn.Identity)
        or not isinstance(network.fc_norm, nn.Identity)
        or not all(isinstance(part, nn.Identity) for block in network.blocks for part in (block.ls1, block.ls2))
        or network.cls_token is None
        or network.pos_embed is None
    ):
        raise ConfigError(
            f"encoder.temporal_adapters={config.temporal_adapters}: the adapters are AIM's, for a CLIP ViT, and "
            f"{config.name!r} is none; use clip-vit-b16, or no adapters and no temporal embedding"
        )
    return network


def _adapted_layers(network: VisionTransformer, config: EncoderConfig) -> tuple[int, ...]:
    every = tuple(range(len(network.blocks)))
    layers = every if config.adapter_layers is None else config.adapter_layers
    for layer in layers:
        if layer not in every:
            raise ConfigError(
                f"encoder.adapter_layers={list(layers)}: the encoder {config.name!r} has no block {layer}, only 0 to "
                f"{every[-1]}"
            )
    return tuple(sorted(set(layers))) if config.temporal_adapters else ()


def _width(state: State, path: Path) -> int:
    downs = [value for key, value in state.items() if key.endswith(".after_time.down.weight")]
    widths = [len(value) for value in downs if value.ndim == 2]
    if not widths:
        raise CheckpointError(
            f"{path} holds no temporal adapters (T_Adapter); set encoder.temporal_adapters=0, or give a file with them"
        )
    return widths[0]


def _checked(embedding: Tensor | None, network: VisionTransformer, config: EncoderConfig) -> Tensor:
    if embedding is None:
        raise CheckpointError(
            f"{config.weights} holds no temporal_embedding; set encoder.temporal_embedding=false, or give a file with "
            "one"
        )
    if embedding.ndim != 3 or embedding.shape[0] != 1 or embedding.shape[2] != network.embed_dim:
        raise CheckpointError(
            f"{config.weights}: temporal_embedding is {'x'.join(map(str, embedding.shape))}, not 1 x frames x "
            f"{network.embed_dim}; these are weights of another architecture"
        )
    return embedding.float()
