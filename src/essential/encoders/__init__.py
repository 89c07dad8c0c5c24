"""Frozen encoders, pixels to frame features, by name: `tiny`, the presets, image models of timm, and plug-ins."""

from typing import TYPE_CHECKING

from essential.encoders.config import ENCODERS, LITE, PRESETS, TEXT_TOWERS, EncoderConfig
from essential.errors import ConfigError
from essential.extras import has_extra, require_extra

if TYPE_CHECKING:
    from essential.encoders.base import Encoder
    from essential.encoders.text import TextTower

__all__ = ["ENCODERS", "PRESETS", "TEXT_TOWERS", "EncoderConfig", "build_encoder", "build_text_tower"]


def build_encoder(config: EncoderConfig) -> "Encoder":
    """Return the frozen encoder that `config` names, on the CPU: one of `ENCODERS`, or an image model of timm.

    Raises:
        ConfigError: no encoder has that name, or it does not take the settings.
        CheckpointError: its weights are missing, damaged, or another network's.
    """
    from essential.encoders.base import Encoder

    encoder = ENCODERS.get(config.name, build_image_model)(config)
    if not isinstance(encoder, Encoder):
        kind = type(encoder).__name__
        raise ConfigError(f"the encoder {config.name!r} of a plug-in is a {kind}, and must be an Encoder")
    return encoder.freeze()


def build_image_model(config: EncoderConfig) -> "Encoder":
    """Return a preset or another image model of timm, with AIM's adapters where the config has them."""
    if config.frames is not None:
        raise ConfigError(
            f"encoder.frames={config.frames} is not allowed: {config.name!r} takes single frames, and reads "
            "video.frames of them; leave it out"
        )
    if config.name in PRESETS and config.is_published:
        from essential.encoders.published_weights import any_weights_kept, refuse_without_network

        if not any_weights_kept():
            refuse_without_network(config)
    if config.name == LITE and config.weights is None and not config.arguments and not config.is_temporal:
        from essential.encoders.lite0_network import build_lite0

        return build_lite0(config)
    # timm takes its time to import: a machine that cannot get its weights, or has another's network, does not need it.
    if config.is_temporal:
        from essential.encoders.adapted_clip import build_adapted_clip

        return build_adapted_clip(config)
    from essential.encoders.timm_encoder import build_timm

    return build_timm(config)


def build_video_model(config: EncoderConfig) -> "Encoder":
    """Return a network of transformers that sees whole clips, one of `VIDEO_PRESETS`."""
    require_extra("transformers", "transformers", of=f"the encoder {config.name!r}")
    from essential.encoders.video_networks import build_video_network

    return build_video_network(config)


def build_text_tower(config: EncoderConfig) -> "TextTower":
    """Return the text tower of an encoder; errors as of `refuse_without_tower` and `build_tower`."""
    refuse_without_tower(config)
    from essential.encoders.text import build_tower

    return build_tower(config)


def refuse_without_tower(config: EncoderConfig) -> None:
    """Raise a ConfigError if the encoder has no text tower, or the extra that it needs is not installed."""
    if config.name not in TEXT_TOWERS:
        raise ConfigError(
            f"the encoder {config.name!r} has no text tower, so classes have no words",
            remedy=f"choose one that has (encoder.name={' or '.join(TEXT_TOWERS)}), or a method without words",
        )
    require_extra("transformers", "transformers", "tokenizers", of=f"the text tower of {config.name!r}")


def text_tower_is_here(config: EncoderConfig) -> bool:
    """Whether an encoder has a text tower that can be built without any download."""
    from essential.encoders.published_weights import TOKENIZER_FILES, WEIGHT_FILES, kept_file

    repository = TEXT_TOWERS.get(config.name)
    return repository is not None and all(
        (
            bool(config.text_weights or kept_file(repository, WEIGHT_FILES)),
            bool(config.tokenizer or kept_file(repository, TOKENIZER_FILES)),
            has_extra("transformers", "tokenizers"),
        )
    )
