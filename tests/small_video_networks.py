"""The networks that see whole clips, small enough for a test: 8 frames of 32 pixels, 4 steps of 24 numbers."""

from typing import Any

from essential.encoders import EncoderConfig

FRAMES, SIZE, DIM = 8, 32, 24
_SHAPE = {"hidden_size": DIM, "num_attention_heads": 2, "num_hidden_layers": 2, "patch_size": 8}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "vjepa2-vit-l": {
        **_SHAPE,
        **{"crop_size": SIZE, "frames_per_clip": FRAMES, "mlp_ratio": 2.0},
        **{"pred_hidden_size": 12, "pred_num_attention_heads": 2, "pred_num_hidden_layers": 1},
    },
    "videomae-vit-b": {
        **_SHAPE,
        **{"image_size": SIZE, "num_frames": FRAMES, "intermediate_size": 48},
        **{"decoder_hidden_size": 12, "decoder_num_attention_heads": 2, "decoder_num_hidden_layers": 1},
        "decoder_intermediate_size": 24,
    },
}


def small_config(name: str, **settings: Any) -> EncoderConfig:
    """Return the config of a small network of that name, with random weights unless told otherwise."""
    arguments = {**ARGUMENTS[name], **settings.pop("arguments", {})}
    return EncoderConfig(name=name, arguments=arguments, **{"weights": "random", **settings})


def small_overrides(name: str) -> list[str]:
    """Return the same as settings of the command line."""
    arguments = ", ".join(f"{key}: {value}" for key, value in ARGUMENTS[name].items())
    return [f"encoder.name={name}", "encoder.weights=random", f"encoder.arguments={{{arguments}}}"]
