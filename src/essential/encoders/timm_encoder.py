"""Frames through any image model of timm, without its head: each frame on its own, with the pixels it wants."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import timm
import torch
from jaxtyping import Float
from timm.data.config import resolve_model_data_config
from torch import Tensor, nn

from essential.encoders.base import Encoder
from essential.encoders.clip_layout import is_clip_layout, to_clip_name, to_timm_names
from essential.encoders.config import ENCODERS, LITE, EncoderConfig
from essential.encoders.efficientnet_lite0 import (
    FOLDED,
    fold_batch_norms,
    is_package_layout,
    package_names,
    package_weights,
)
from essential.encoders.published_weights import kept_weights, not_downloaded, refuse_without_network
from essential.encoders.weight_files import fit_weights, read_weights
from essential.errors import CheckpointError, ConfigError
from essential.seeded import drawing_from
from essential.seeding import seed_from
from essential.shown import nearest
from essential.video.config import PixelFormat

# What decides where weights come from and what goes in and out is said elsewhere in the config, or not at all.
_RESERVED = frozenset(
    {"num_classes", "in_chans", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "pretrained_model_args"}
    | {"checkpoint_path", "cache_dir", "features_only", "out_indices", "feature_cls", "scriptable", "exportable"}
    | {"no_jit", "device", "dtype", "pruned"}
)
# What models' constructors raise on a wrong argument.
_MISFITS = (TypeError, ValueError, KeyError, IndexError, AttributeError, AssertionError, RuntimeError)


class TimmEncoder(Encoder):
    """The pooled features of a timm model, before any head."""

    def __init__(
        self, name: str, network: nn.Module, *, dim: int, pixel_format: PixelFormat, architecture: str
    ) -> None:
        super().__init__(name, dim=dim, pixel_format=pixel_format, architecture=architecture, per_frame=True)
        self.network = network

    def encode(self, clips: Float[Tensor, "batch frames 3 size size"]) -> Float[Tensor, "batch frames dim"]:
        """Encode each frame on its own."""
        # Channels-last takes a quarter of a convolutional network's time away on a CPU, and changes nothing for a ViT.
        frames = clips.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        return torch.unflatten(self.network(frames), 0, clips.shape[:2])


def build_timm(config: EncoderConfig) -> Encoder:
    """Return the timm model that `config` describes, with its weights; errors as of `build_encoder`."""
    network, architecture = build_network(config), describe(config)
    path = package_weights() if config.name == LITE and config.weights is None else config.weights
    if isinstance(path, Path):
        _load(network, config, path)
    resize(network, config)
    pixel_format = pixel_format_of(network, config)
    dim = feature_width(network, config, size=pixel_format.size)
    if config.name == LITE:
        fold_batch_norms(network)
        architecture += FOLDED
    return TimmEncoder(config.name, network, dim=dim, pixel_format=pixel_format, architecture=architecture)


def _load(network: nn.Module, config: EncoderConfig, path: Path) -> None:
    state = read_weights(path)
    fit = partial(fit_weights, network, path=path, encoder=config.name)
    if is_clip_layout(state):
        # Checkpoints of the authors hold a temporal embedding even where their tower does not add it.
        fit(to_timm_names(state), leftovers=("temporal_embedding",), shown=to_clip_name)
    elif is_package_layout(state):
        theirs = package_names(network, state)
        fit(
            {ours: state[name] for ours, name in theirs.items()},
            leftovers=("_fc.",),
            shown=lambda key: theirs.get(key, key),
        )
    else:
        fit(state, leftovers=classifier_keys(network))


def build_network(config: EncoderConfig) -> nn.Module:
    """Return the timm model of the config, headless, as `build_timm`, but before its weight file is read.

    It holds the published weights for `hub`; else random ones, seeded by its name.
    """
    name = _known(config)
    reserved = sorted(_RESERVED & config.arguments.keys())
    if reserved:
        raise ConfigError(
            f"encoder.arguments holds {reserved[0]!r}, which cannot be given there; weights are chosen by "
            "encoder.weights, and an encoder has 3 channels and no classes"
        )
    if config.is_published and not timm.is_model_pretrained(name):
        raise CheckpointError(
            f"timm publishes no weights for the encoder {name!r}; give a file as encoder.weights, or random"
        )
    with drawing_from(seed_from("encoder", name)):
        network = _published(config, name) if config.is_published else _create(config, name)
    return network.eval()


def resize(network: nn.Module, config: EncoderConfig) -> None:
    """Let a ViT take frames of `encoder.size`, others take any; a ConfigError if it cannot have that size."""
    setter = getattr(network, "set_input_size", None)
    if config.size is None or setter is None:
        return
    try:
        setter(img_size=(config.size, config.size))
    except _MISFITS as error:
        raise ConfigError(f"encoder.size={config.size} does not suit the encoder {config.name!r}: {error}") from error


def pixel_format_of(network: nn.Module, config: EncoderConfig) -> PixelFormat:
    """Return the pixels that the network's weights were trained with, or what the config says instead.

    timm's own evaluation scales a little larger before the centre is cut out; here, as in ESSENTIAL, the short side
    becomes the size.

    Raises:
        ConfigError: the network's own pixels are not squares, or are scaled in a way that is not offered here.
    """
    own: dict[str, Any] = resolve_model_data_config(network)
    height, width = own["input_size"][1:]
    asked = config.arguments.get("img_size")
    if config.size is None and asked is None and height != width:
        raise ConfigError(
            f"the encoder {config.name!r} wants frames of {height} x {width} pixels, and frames are square here; "
            "choose encoder.size"
        )
    interpolation = config.interpolation or own["interpolation"]
    if interpolation not in ("bilinear", "bicubic"):
        raise ConfigError(
            f"the encoder {config.name!r} scales frames by {interpolation!r}; choose encoder.interpolation, "
            "bilinear or bicubic"
        )
    return PixelFormat(
        size=config.size or (asked if isinstance(asked, int) else height),
        mean=config.mean or tuple(own["mean"]),
        std=config.std or tuple(own["std"]),
        interpolation=interpolation,
    )


def feature_width(network: nn.Module, config: EncoderConfig, *, size: int) -> int:
    """Return how many numbers the network gives for a black frame; a ConfigError if they are not one row."""
    try:
        with torch.no_grad():
            features = network(torch.zeros(1, 3, size, size))
    except _MISFITS as error:
        raise ConfigError(f"the encoder {config.name!r} cannot take frames of {size} pixels: {error}") from error
    if not isinstance(features, Tensor) or features.ndim != 2:
        found = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
        raise ConfigError(
            f"the encoder {config.name!r} gives {found} for a frame, not one row of numbers; choose a model that "
            "pools, or an argument that makes it, such as global_pool"
        )
    return int(features.shape[1])


def describe(config: EncoderConfig) -> str:
    """Return what decides the computation beside the weights: timm's version, the model and its arguments."""
    return f"timm {timm.__version__} {config.timm_name} {json.dumps(config.arguments, sort_keys=True)}"


def classifier_keys(network: nn.Module) -> tuple[str, ...]:
    """Return the starts of the names that the head has in a weight file of this network."""
    names = getattr(network, "pretrained_cfg", {}).get("classifier") or ()
    return tuple(f"{name}." for name in ((names,) if isinstance(names, str) else names))


def _known(config: EncoderConfig) -> str:
    name = config.timm_name
    models, published = timm.list_models(), timm.list_pretrained()
    if name in models or name in published:
        return name
    broken, known = ENCODERS.broken().get(name), ENCODERS.names()
    if broken is not None:
        raise ConfigError(f"the encoder {name!r} cannot be used: {broken}")
    hint = nearest(name, [*known, *models, *published])
    raise ConfigError(
        f"encoder.name={name!r} is unknown{hint}; use {', '.join(known)}, or an image model of timm "
        f"{timm.__version__} by its name there"
    )


def _create(config: EncoderConfig, name: str, **source: Any) -> nn.Module:
    arguments: dict[str, Any] = {**config.arguments, **source}
    try:
        network: nn.Module = timm.create_model(name, num_classes=0, **arguments)
    except _MISFITS as error:
        raise ConfigError(
            f"encoder.arguments={config.arguments} do not suit timm's {name!r}: {type(error).__name__}: {error}"
        ) from error
    return network


def _published(config: EncoderConfig, name: str) -> nn.Module:
    published = timm.get_pretrained_cfg(name)
    if published and published.hf_hub_id:
        kept = kept_weights(published.hf_hub_id)
        if kept is not None and not published.custom_load:
            return _create(config, name, pretrained=True, pretrained_cfg_overlay={"file": str(kept)})
        if kept is None:
            refuse_without_network(config)
    try:
        return _create(config, name, pretrained=True)
    except OSError as error:
        raise not_downloaded(config, error) from error
