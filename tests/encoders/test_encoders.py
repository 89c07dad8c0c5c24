"""The encoder contract, on the embedded encoder: frozen, one feature per frame, fingerprinted, refused when damaged."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from essential.encoders import PRESETS, EncoderConfig, build_encoder, tiny
from essential.encoders.base import Encoder
from essential.errors import CheckpointError, ConfigError


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return build_encoder(EncoderConfig())


def clips(batch: int, frames: int, size: int = 64) -> torch.Tensor:
    return torch.randn(batch, frames, 3, size, size, generator=torch.Generator().manual_seed(0))


def test_the_default_is_tiny(encoder: Encoder) -> None:
    assert encoder.name == "tiny"
    of_timm = ["clip-vit-b16", "imagenet-vit-b16", "dinov2-vit-b14", "siglip-vit-b16", "efficientnet-lite0"]
    assert list(PRESETS) == of_timm
    assert encoder.dim == 128
    assert encoder.pixel_format.size == 64


@pytest.mark.numeric
@pytest.mark.usefixtures("float64")
def test_one_feature_per_frame_whatever_stands_beside_it() -> None:
    encoder, pixels = build_encoder(EncoderConfig()), clips(3, 4)
    features = encoder(pixels)
    assert features.shape == (3, 4, 128)
    alone = encoder(pixels[1:2, 2:3])
    torch.testing.assert_close(features[1:2, 2:3], alone, rtol=1e-4, atol=1e-4)
    assert torch.equal(features, encoder(pixels))


def test_it_is_frozen(encoder: Encoder) -> None:
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    assert not encoder.train().training
    assert not any(module.training for module in encoder.modules())
    assert not encoder(clips(1, 1).requires_grad_()).requires_grad


def test_the_fingerprint_is_of_weights_and_pixel_format(encoder: Encoder) -> None:
    again = build_encoder(EncoderConfig())
    assert encoder.fingerprint == again.fingerprint
    assert len(encoder.fingerprint) == 64
    changed = build_encoder(EncoderConfig())
    with torch.no_grad():
        next(changed.parameters()).view(-1)[0] += 1e-3
    assert changed.fingerprint != encoder.fingerprint
    other_pixels = build_encoder(EncoderConfig())
    other_pixels.pixel_format = tiny.PixelFormat(
        size=64, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), interpolation="bilinear"
    )
    assert other_pixels.fingerprint != encoder.fingerprint


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 65), (48, 64)])
def test_pixels_of_another_size_are_refused(height: int, width: int, encoder: Encoder) -> None:
    with pytest.raises(ConfigError, match=f"'tiny' wants frames of 64 x 64 pixels, not {height} x {width}"):
        encoder(torch.zeros(1, 1, 3, height, width))


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("tinny", r" \(did you mean 'tiny'.*\?\)"),
        ("clip-vitb16", r" \(did you mean 'clip-vit-b16'.*\?\)"),
        ("mobilenet_v2_035", r" \(did you mean .*'mobilenetv2_035'.*\?\)"),
        (
            "vit_base_patch16_clip_quickgelu_224.openal",
            r" \(did you mean 'vit_base_patch16_clip_quickgelu_224\.openai'.*\)",
        ),
        ("hf-hub:someone/something", ""),
        ("local-dir:/tmp", ""),
        ("§§§", ""),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=rf"encoder\.name='{name}' is unknown{hint}.*; use tiny, clip-vit-b16, "):
        build_encoder(EncoderConfig(name=name))


@pytest.mark.parametrize(
    "setting",
    [{"weights": "random"}, {"size": 32}, {"arguments": {"depth": 2}}, {"mean": (0, 0, 0)}, {"std": (1, 1, 1)}],
)
def test_tiny_takes_no_other_setting(setting: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=rf"encoder\.{next(iter(setting))}=.* the encoder tiny takes no other"):
        EncoderConfig(**setting)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"temporal_adapters": 1}, r"encoder\.weights=None is not allowed with temporal adapters"),
        ({"temporal_adapters": 2, "weights": "hub"}, r"encoder\.weights='hub' is not allowed with temporal adapters"),
        ({"temporal_embedding": True, "weights": "random"}, r"encoder\.weights='random' is not allowed"),
        ({"temporal_adapters": 3, "weights": "a.pth"}, "temporal_adapters"),
        ({"adapter_layers": (0,)}, r"encoder\.adapter_layers=\[0\] with encoder\.temporal_adapters=0 is not"),
        ({"adapter_layers": (), "temporal_adapters": 1, "weights": "a.pth"}, r"adapter_layers=\[\] with"),
        ({"adapter_layers": (-1,), "temporal_adapters": 1, "weights": "a.pth"}, "greater than or equal to 0"),
        ({"std": (0.5, 0.0, 0.5)}, "greater than 0"),
        ({"interpolation": "nearest"}, "'bilinear' or 'bicubic'"),
        ({"arguments": {"img_size": [224, 224]}}, r"img_size must be a number, a text, .*, not \[224, 224\]"),
        ({"arguments": 3}, "give names and values, such as {pad_type: same}"),
        ({"weights": 3}, "give the path of a weight file, hub or random"),
        ({"weights": ""}, "give the path of a weight file, hub or random"),
    ],
)
def test_settings_that_do_not_fit_are_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        EncoderConfig(name="clip-vit-b16", **setting)


def test_weights_are_a_word_or_a_path() -> None:
    given = [EncoderConfig(name="test_vit", weights=weights).weights for weights in ("hub", "random", "w.pth", None)]
    assert given == ["hub", "random", Path("w.pth"), None]


def test_damaged_or_missing_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytearray(tiny.TINY_WEIGHTS.read_bytes())
    content[-1000] ^= 1
    path = tmp_path / "tiny.safetensors"
    path.write_bytes(content)
    monkeypatch.setattr(tiny, "TINY_WEIGHTS", path)
    with pytest.raises(CheckpointError, match=r"tiny\.safetensors is damaged"):
        build_encoder(EncoderConfig())
    monkeypatch.setattr(tiny, "TINY_WEIGHTS", tmp_path / "none.safetensors")
    with pytest.raises(CheckpointError, match=r"none\.safetensors is missing"):
        build_encoder(EncoderConfig())
