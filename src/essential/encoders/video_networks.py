"""Whole clips through networks of transformers that see motion, V-JEPA 2 and VideoMAE: a feature for each step in time.

Assran et al., "V-JEPA 2: Self-Supervised Video Models Enable Understanding, Prediction and Planning", 2025; Tong et
al., "VideoMAE: Masked Autoencoders are Data-Efficient Learners for Self-Supervised Video Pre-Training", NeurIPS 2022.

A clip is cut into tubelets, two frames deep and a patch wide, and the network gives a token for each. A step's feature
is the mean of its tokens after the last layer, those of one depth of tubelets. V-JEPA 2's have had its final norm.
VideoMAE's are normed after the mean (`fc_norm`), as its classifier does with the mean of all; one that was not
fine-tuned has no such norm (`use_mean_pooling: false`), and norms its tokens.

The networks' code is the library's. Weights are read as every encoder's are: neither a config nor code of a repository
is used.
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import transformers
from huggingface_hub.errors import StrictDataclassError
from jaxtyping import Float
from torch import Tensor, nn
from transformers import VideoMAEConfig, VideoMAEForVideoClassification, VJEPA2Config, VJEPA2Model

from essential.encoders.base import Encoder
from essential.encoders.config import VIDEO_PRESETS, EncoderConfig, Scalar
from essential.encoders.published_weights import fetched_weights
from essential.encoders.weight_files import State, fit_weights, read_weights
from essential.errors import ConfigError
from essential.seeded import drawing_from
from essential.seeding import seed_from
from essential.shown import nearest
from essential.video.config import PixelFormat

# ImageNet's, with which all of these were trained.
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# What the settings and the networks raise on a wrong argument.
_MISFITS = (StrictDataclassError, TypeError, ValueError, KeyError, RuntimeError, ArithmeticError)
# Frames have three colours.
_RESERVED = frozenset({"in_chans", "num_channels"})
_OLD_BIAS = re.compile(r"(?<=\.attention\.attention\.)([qv])_bias$")


class Family(NamedTuple):
    """The networks of one paper.

    Attributes:
        settings: the library's class of settings, whose defaults are the published network's.
        make: the network of such settings, without what gives no feature, its modules named as in its weight files.
        tokens: of a network and clips: the tokens after the last layer.
        norm: what of a network norms a step's mean; None: nothing.
        size: what the settings call the pixels along a side.
        frames: what they call the frames of a clip.
        is_fixed: whether its positions are for the size and frames of its training alone.
        leftovers: starts of names in weight files that give no feature.
        named: a weight file's tensors under the names of `make`.
    """

    settings: Callable[..., Any]
    make: Callable[[Any], nn.Module]
    tokens: Callable[[Any, Tensor], Tensor]
    norm: Callable[[Any], nn.Module | None]
    size: str
    frames: str
    is_fixed: bool
    leftovers: tuple[str, ...]
    named: Callable[[State], State]


def _make_vjepa2(settings: VJEPA2Config) -> nn.Module:
    network = VJEPA2Model(settings)
    # In the place of what only the pre-training needs.
    network.add_module("predictor", nn.Identity())
    return network


_VJEPA2 = Family(
    settings=VJEPA2Config,
    make=_make_vjepa2,
    tokens=lambda network, clips: network.encoder(clips).last_hidden_state,
    norm=lambda _: None,
    size="crop_size",
    frames="frames_per_clip",
    is_fixed=False,
    leftovers=("predictor.", "pooler.", "classifier."),
    # A classifier's file has the network behind its name.
    named=lambda state: {key.removeprefix("vjepa2."): value for key, value in state.items()},
)
_VIDEOMAE = Family(
    settings=VideoMAEConfig,
    make=VideoMAEForVideoClassification,
    tokens=lambda network, clips: network.videomae(clips).last_hidden_state,
    norm=lambda network: network.fc_norm,
    size="image_size",
    frames="num_frames",
    is_fixed=True,
    leftovers=("classifier.", "decoder.", "encoder_to_decoder.", "mask_token"),
    # As the published files, which are older than the library's version 5, call these.
    named=lambda state: {
        _OLD_BIAS.sub(lambda found: {"q": "query.bias", "v": "value.bias"}[found[1]], key): value
        for key, value in state.items()
    },
)
# Each preset's family, and what its published settings have that the library's own do not.
_NETWORKS: Mapping[str, tuple[Family, dict[str, Scalar]]] = {
    "vjepa2-vit-l": (_VJEPA2, {}),
    "vjepa2-vit-g": (
        _VJEPA2,
        {"hidden_size": 1408, "num_hidden_layers": 40, "num_attention_heads": 22, "mlp_ratio": 48 / 11},
    ),
    "videomae-vit-b": (_VIDEOMAE, {}),
    "videomae-vit-b-ssv2": (_VIDEOMAE, {}),
}


class VideoNetwork(Encoder):
    """The mean of a step's tokens, for each step of a clip; see the module."""

    def __init__(
        self, name: str, network: nn.Module, family: Family, settings: Any, *, pixels: PixelFormat, architecture: str
    ) -> None:
        frames = getattr(settings, family.frames)
        super().__init__(
            name, dim=settings.hidden_size, pixel_format=pixels, architecture=architecture, clip_frames=frames
        )
        self.network = network
        self._tokens, self._norm = family.tokens, family.norm
        self._steps = frames // settings.tubelet_size

    def encode(self, clips: Float[Tensor, "batch read 3 size size"]) -> Float[Tensor, "batch steps dim"]:
        """Encode the frames of each clip together."""
        steps = self._tokens(self.network, clips).unflatten(1, (self._steps, -1)).mean(dim=2)
        norm = self._norm(self.network)
        normed: Tensor = steps if norm is None else norm(steps)
        return normed


def build_video_network(config: EncoderConfig) -> Encoder:
    """Return the network of transformers that `config` describes, with its weights; errors as of `build_encoder`."""
    family, published = _NETWORKS[config.name]
    if config.is_temporal:
        raise ConfigError(
            f"encoder.temporal_adapters={config.temporal_adapters}: the adapters are AIM's, for a CLIP ViT, and "
            f"{config.name!r} is none; use clip-vit-b16, or no adapters and no temporal embedding"
        )
    arguments = {**published, **config.arguments}
    settings = _settings(family, arguments, config)
    pixels = PixelFormat(
        size=getattr(settings, family.size),
        mean=config.mean or _MEAN,
        std=config.std or _STD,
        interpolation=config.interpolation or "bilinear",
    )
    network = _network(family, settings, config)
    architecture = (
        f"transformers {transformers.__version__} {type(settings).__name__} {json.dumps(arguments, sort_keys=True)}"
    )
    return VideoNetwork(config.name, network, family, settings, pixels=pixels, architecture=architecture)


def _network(family: Family, settings: Any, config: EncoderConfig) -> nn.Module:
    path = fetched_weights(config, VIDEO_PRESETS[config.name]) if config.is_published else config.weights
    state = family.named(read_weights(path)) if isinstance(path, Path) else None
    with drawing_from(seed_from("encoder", config.name)):
        try:
            network = family.make(settings)
        except _MISFITS as error:
            raise _unsuitable(config, error) from error
    if isinstance(path, Path) and state is not None:
        fit_weights(network, state, path=path, encoder=config.name, leftovers=family.leftovers)
    return network.eval()


def _settings(family: Family, arguments: dict[str, Scalar], config: EncoderConfig) -> Any:
    """Return the library's settings, with the config's size and frames, checked for what the library does not."""
    known = sorted(family.settings.__annotations__.keys() - _RESERVED)
    for name in arguments:
        if name not in known:
            raise ConfigError(
                f"encoder.arguments holds {name!r}, which cannot be given to the encoder {config.name!r}"
                f"{nearest(name, known)}; allowed are {', '.join(known)}"
            )
    try:
        # One kernel for all: deterministic, and part of an export.
        settings = family.settings(**arguments, num_labels=0, attn_implementation="sdpa")
    except _MISFITS as error:
        raise _unsuitable(config, error) from error
    for wanted, name, unit, cut in (
        (config.size, family.size, "size", settings.patch_size),
        (config.frames, family.frames, "frames", settings.tubelet_size),
    ):
        own = getattr(settings, name)
        if family.is_fixed and wanted not in (None, own):
            raise ConfigError(
                f"encoder.{unit}={wanted} is not allowed: the positions of the encoder {config.name!r} are those of "
                f"its training, and allowed is {own}; leave it out, or for weights of your own that were trained with "
                f"{wanted} give encoder.arguments={{{name}: {wanted}}}"
            )
        value = own if wanted is None else wanted
        if cut < 1:
            raise _unsuitable(config, ValueError("patches and tubelets have a side of 1 or more"))
        if value < 1 or value % cut:
            raise ConfigError(
                f"encoder.{unit}={value} does not suit the encoder {config.name!r}, which cuts it into parts of {cut}; "
                f"give a multiple of {cut}"
            )
        setattr(settings, name, value)
    return settings


def _unsuitable(config: EncoderConfig, error: Exception) -> ConfigError:
    reason = " ".join(str(error).split())
    return ConfigError(
        f"encoder.arguments={config.arguments} do not suit the encoder {config.name!r}: {type(error).__name__}: "
        f"{reason}"
    )
