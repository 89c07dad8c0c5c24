"""Frozen encoders: pixels to frame features."""

from collections.abc import Callable

from pydantic import Field

from essential.encoders.base import FrameEncoder, known_name
from essential.encoders.tiny import build_tiny
from essential.schema import Section

ENCODERS: dict[str, Callable[[], FrameEncoder]] = {"tiny": build_tiny}


class EncoderConfig(Section):
    """Which frozen encoder makes the frame features."""

    name: str = Field(default="tiny", description="The encoder: tiny, the embedded one.")


def build_encoder(config: EncoderConfig) -> FrameEncoder:
    """Return the frozen encoder that `config` names, on the CPU.

    Raises:
        ConfigError: no encoder has that name.
        CheckpointError: its weights are missing or damaged.
    """
    return ENCODERS[known_name(config.name, tuple(ENCODERS))]()


__all__ = ["ENCODERS", "EncoderConfig", "FrameEncoder", "build_encoder"]
