"""The encoder contract, on the embedded encoder: frozen, one feature per frame, fingerprinted, refused when damaged."""

from pathlib import Path

import pytest
import torch

from essential.encoders import ENCODERS, EncoderConfig, FrameEncoder, build_encoder, tiny
from essential.errors import CheckpointError, ConfigError


@pytest.fixture(scope="module")
def encoder() -> FrameEncoder:
    return build_encoder(EncoderConfig())


def clips(batch: int, frames: int, size: int = 64) -> torch.Tensor:
    return torch.randn(batch, frames, 3, size, size, generator=torch.Generator().manual_seed(0))


def test_the_default_is_tiny(encoder: FrameEncoder) -> None:
    assert encoder.name == "tiny"
    assert list(ENCODERS) == ["tiny"]
    assert encoder.dim == 128
    assert encoder.pixel_format.size == 64


def test_one_feature_per_frame_whatever_stands_beside_it(encoder: FrameEncoder) -> None:
    pixels = clips(3, 4)
    features = encoder(pixels)
    assert features.shape == (3, 4, 128)
    alone = encoder(pixels[1:2, 2:3])
    torch.testing.assert_close(features[1:2, 2:3], alone, rtol=1e-4, atol=1e-4)
    assert torch.equal(features, encoder(pixels))


def test_it_is_frozen(encoder: FrameEncoder) -> None:
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    assert not encoder.train().training
    assert not any(module.training for module in encoder.modules())
    assert not encoder(clips(1, 1).requires_grad_()).requires_grad


def test_the_fingerprint_is_of_weights_and_pixel_format(encoder: FrameEncoder) -> None:
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


def test_pixels_of_another_size_are_refused(encoder: FrameEncoder) -> None:
    with pytest.raises(ConfigError, match="'tiny' wants frames of 64 pixels, not 32"):
        encoder(clips(1, 1, size=32))


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"encoder\.name='tinny' is unknown; use one of tiny"):
        build_encoder(EncoderConfig(name="tinny"))


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
