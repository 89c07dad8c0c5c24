"""Frozen encoders: pixels to frame features."""

from essential.encoders.base import FrameEncoder
from essential.encoders.config import PRESETS, TINY, EncoderConfig
from essential.encoders.tiny import build_tiny


def build_encoder(config: EncoderConfig) -> FrameEncoder:
    """Return the frozen encoder that `config` names, on the CPU: `tiny`, one of `PRESETS`, or an image model of timm.

    Raises:
        ConfigError: no encoder has that name, or it does not take the settings.
        CheckpointError: its weights are missing, damaged, or another network's.
    """
    if config.name == TINY:
        return build_tiny()
    # timm takes its time to import, `tiny` does not need it, and no more does a machine that cannot get its weights.
    from essential.encoders.published_weights import any_weights_kept, refuse_without_network

    if config.name in PRESETS and config.is_published and not any_weights_kept():
        refuse_without_network(config)
    from essential.encoders.adapted_clip import build_adapted_clip
    from essential.encoders.timm_encoder import build_timm

    return build_adapted_clip(config) if config.is_temporal else build_timm(config)


__all__ = ["EncoderConfig", "FrameEncoder", "build_encoder"]
