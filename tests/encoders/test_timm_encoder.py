"""Image models of timm: features, pixels, sizes, arguments, and where weights come from. Nothing is downloaded."""

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from essential.encoders import EncoderConfig, build_encoder, published_weights
from essential.encoders.base import Encoder
from essential.encoders.config import PRESETS
from essential.errors import CheckpointError, ConfigError


def random(name: str, **settings: Any) -> Encoder:
    return build_encoder(EncoderConfig(name=name, weights="random", **settings))


def clips(batch: int, frames: int, size: int) -> Tensor:
    return torch.randn(batch, frames, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.numeric
@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_convnext", "test_vit", "mobilenetv2_035"])
def test_any_image_model_gives_one_feature_per_frame(name: str) -> None:
    encoder = random(name, size=64)
    pixels = clips(2, 3, 64)
    features = encoder(pixels)
    assert features.shape == (2, 3, encoder.dim)
    torch.testing.assert_close(features[1:, 2:], encoder(pixels[1:, 2:]), rtol=1e-4, atol=1e-5)
    assert (features[0, 0] - features[1, 2]).abs().max() > 1e-6
    assert not encoder.train().training
    assert not any(parameter.requires_grad for parameter in encoder.parameters())


@pytest.mark.numeric
@pytest.mark.usefixtures("float64")
def test_the_features_are_timms_own_before_the_head(tmp_path: Path) -> None:
    whole = timm.create_model("test_vit", num_classes=10).eval()
    path = tmp_path / "whole.safetensors"
    save_file(whole.state_dict(), path)
    encoder = build_encoder(EncoderConfig(name="test_vit", weights=path))
    pixels = clips(2, 2, 160)
    with torch.no_grad():
        expected = whole.forward_head(whole.forward_features(pixels.flatten(0, 1)), pre_logits=True)
    torch.testing.assert_close(encoder(pixels).flatten(0, 1), expected, rtol=1e-4, atol=1e-5)


def test_random_weights_are_seeded_and_draw_nothing_from_the_global_generator() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first = random("test_resnet")
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(4)
    assert random("test_resnet").fingerprint == first.fingerprint


def test_the_fingerprint_is_of_weights_pixels_and_arguments() -> None:
    settings: list[dict[str, Any]] = [
        {},
        {"mean": (0.1, 0.2, 0.3)},
        {"std": (0.1, 0.2, 0.3)},
        {"interpolation": "bicubic"},
        {"size": 96},
        {"arguments": {"drop_rate": 0.1}},
        {"arguments": {"act_layer": "gelu"}},
    ]
    prints = {random("test_resnet", **changes).fingerprint for changes in settings}
    assert len(prints) == len(settings)


def test_pixels_are_the_models_own_unless_the_config_says_otherwise() -> None:
    own = random("test_vit").pixel_format
    published = timm.get_pretrained_cfg("test_vit")
    assert (own.size, own.mean, own.std, own.interpolation) == (
        *(published.input_size[1], published.mean, published.std),
        published.interpolation,
    )
    changes: dict[str, Any] = {"size": 32, "mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6), "interpolation": "bilinear"}
    changed = random("test_vit", **changes).pixel_format
    assert {name: getattr(changed, name) for name in changes} == changes
    assert random("test_vit", arguments={"img_size": 48}).pixel_format.size == 48


@pytest.mark.parametrize(
    ("preset", "size", "mean"),
    [
        ("clip-vit-b16", 224, (0.48145466, 0.4578275, 0.40821073)),
        ("imagenet-vit-b16", 224, (0.5, 0.5, 0.5)),
        ("dinov2-vit-b14", 518, (0.485, 0.456, 0.406)),
        ("siglip-vit-b16", 224, (0.5, 0.5, 0.5)),
    ],
)
def test_presets_are_published_models(preset: str, size: int, mean: tuple[float, ...]) -> None:
    assert timm.is_model_pretrained(PRESETS[preset])
    published = timm.get_pretrained_cfg(PRESETS[preset])
    assert (published.input_size, published.mean) == ((3, size, size), mean)
    # The same network, of the same kind of features, only smaller.
    small = {"depth": 1, "embed_dim": 24, "num_heads": 2, "img_size": 28, "patch_size": 14}
    assert random(preset, arguments=small)(clips(1, 2, 28)).shape == (1, 2, 24)


@pytest.mark.numeric
@pytest.mark.usefixtures("float64")
def test_a_vit_of_another_size_has_its_positions_interpolated(tmp_path: Path) -> None:
    network = timm.create_model("test_vit", num_classes=0)
    path = tmp_path / "weights.safetensors"
    save_file(network.state_dict(), path)
    encoder = build_encoder(EncoderConfig(name="test_vit", weights=path, size=64))
    network.eval().set_input_size(img_size=(64, 64))
    pixels = clips(1, 2, 64)
    with torch.no_grad():
        torch.testing.assert_close(encoder(pixels)[0], network(pixels[0]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("test_vit", {"size": 100}, r"encoder\.size=100 does not suit|cannot take frames of 100 pixels"),
        ("test_resnet", {"arguments": {"wide": 2}}, r"encoder\.arguments=\{'wide': 2\} do not suit .*'wide'"),
        ("test_resnet", {"arguments": {"num_classes": 5}}, "holds 'num_classes', which cannot be given there"),
        ("test_resnet", {"arguments": {"checkpoint_path": "x.pth"}}, "holds 'checkpoint_path'"),
        ("test_resnet", {"arguments": {"global_pool": ""}}, r"gives \(1, \d+, \d+, \d+\) for a frame, not one row"),
        ("vit_base_patch16_sapiens2", {}, r"wants frames of 1024 x 768 pixels, and frames are square"),
    ],
)
def test_what_a_model_cannot_do_is_refused(
    name: str, settings: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "sapiens" in name:
        monkeypatch.setattr(timm, "create_model", lambda *_, **__: _Stub(name))  # the real one is large
    with pytest.raises(ConfigError, match=message):
        random(name, **settings)


class _Stub(nn.Module):
    """Stands for a published model that cannot be downloaded here."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.pretrained_cfg = timm.get_pretrained_cfg(name).to_dict()
        self.weight = nn.Parameter(torch.ones(5))

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.mean(dim=(1, 2, 3))[:, None] * self.weight


def test_without_weights_in_the_config_the_published_ones_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def create(name: str, *, pretrained: bool, **arguments: Any) -> nn.Module:
        asked.append((name, pretrained, arguments))
        return _Stub(name)

    monkeypatch.setattr(timm, "create_model", create)
    monkeypatch.setattr(published_weights, "_answers", lambda _: True)
    encoder = build_encoder(EncoderConfig(name="clip-vit-b16", arguments={"drop_rate": 0.0}))
    assert (encoder.name, encoder.dim, encoder.pixel_format.size) == ("clip-vit-b16", 5, 224)
    assert asked == [("vit_base_patch16_clip_quickgelu_224.openai", True, {"num_classes": 0, "drop_rate": 0.0})]


def test_a_failing_download_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def create(*_: Any, **__: Any) -> nn.Module:
        raise ConnectionError("no route")

    monkeypatch.setattr(timm, "create_model", create)
    monkeypatch.setattr(published_weights, "_answers", lambda _: True)
    with pytest.raises(CheckpointError, match=r"'test_resnet' .* cannot be downloaded .*add -s encoder\.weights=FILE"):
        build_encoder(EncoderConfig(name="test_resnet", weights="hub"))


def test_a_model_without_published_weights_is_told() -> None:
    with pytest.raises(CheckpointError, match="no weights for the encoder 'mobilenetv2_035'; give a file"):
        build_encoder(EncoderConfig(name="mobilenetv2_035"))


def test_a_real_network_loads_with_its_arguments(shared_folder: Path) -> None:
    path = shared_folder / "weights" / "mobilenetv2_035.safetensors"
    arguments = {"pad_type": "same", "bn_eps": 1e-3}
    encoder = build_encoder(EncoderConfig(name="mobilenetv2_035", weights=path, arguments=arguments))
    assert encoder.dim == 1280
    assert encoder(clips(1, 1, 224)).std() > 0.1
