"""V-JEPA 2 and VideoMAE: the features of the library's own forward pass, weights read strictly, nothing downloaded."""

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from huggingface_hub import constants
from huggingface_hub.errors import RemoteEntryNotFoundError
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import (
    VideoMAEConfig,
    VideoMAEForPreTraining,
    VideoMAEForVideoClassification,
    VJEPA2Config,
    VJEPA2ForVideoClassification,
    VJEPA2Model,
)

from essential import extras
from essential.encoders import EncoderConfig, build_encoder, published_weights
from essential.encoders.config import VIDEO_PRESETS
from essential.errors import CheckpointError, ConfigError, EssentialError, NoNetworkError
from small_video_networks import ARGUMENTS, DIM, FRAMES, SIZE, small_config

NAMES = tuple(ARGUMENTS)
VJEPA2, VIDEOMAE = NAMES


def theirs(name: str, **more: Any) -> nn.Module:
    """Return the library's own model with random numbers, also where it has zeros and ones to begin with."""
    torch.manual_seed(0)
    arguments = {**ARGUMENTS[name], **more}
    model: nn.Module = (
        VJEPA2Model(VJEPA2Config(**arguments))
        if name == VJEPA2
        else VideoMAEForVideoClassification(VideoMAEConfig(num_labels=5, **arguments))
    )
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model.eval()


def saved(path: Path, state: Mapping[str, Tensor]) -> Path:
    save_file({key: value.contiguous() for key, value in state.items()}, path)
    return path


def clips(batch: int = 2, frames: int = FRAMES, size: int = SIZE) -> Tensor:
    return torch.randn(batch, frames, 3, size, size, generator=torch.Generator().manual_seed(1))


def mean_of_places(tokens: Tensor, steps: int) -> Tensor:
    """Return the mean of each step's tokens, one after the other, in float64."""
    places = tokens.shape[1] // steps
    totals = torch.zeros(tokens.shape[0], steps, tokens.shape[2], dtype=torch.float64)
    for step in range(steps):
        for place in range(places):
            totals[:, step] += tokens[:, step * places + place].double()
    return totals / places


@pytest.mark.numeric
@pytest.mark.parametrize(("frames", "size"), [(FRAMES, SIZE), (12, SIZE), (4, 48)])
def test_vjepa2_gives_the_mean_of_each_steps_tokens(frames: int, size: int, tmp_path: Path) -> None:
    model = theirs(VJEPA2)
    # The library wants to be told another size, as here.
    whole = theirs(VJEPA2, crop_size=size)
    weights = saved(tmp_path / "model.safetensors", model.state_dict())
    encoder = build_encoder(small_config(VJEPA2, weights=weights, frames=frames, size=size))
    pixels = clips(frames=frames, size=size)
    with torch.no_grad():
        tokens = whole(pixel_values_videos=pixels).last_hidden_state
    expected = mean_of_places(tokens, frames // 2)
    assert expected.abs().max() > 0.1
    # Both are of float32, and of numbers near 1.
    torch.testing.assert_close(encoder(pixels).double(), expected, rtol=1e-5, atol=1e-5)
    assert (encoder.dim, encoder.clip_frames, encoder.per_frame) == (DIM, frames, False)


@pytest.mark.numeric
def test_videomae_norms_the_mean_of_each_steps_tokens_as_its_classifier_does(tmp_path: Path) -> None:
    model = theirs(VIDEOMAE)
    encoder = build_encoder(small_config(VIDEOMAE, weights=saved(tmp_path / "model.safetensors", model.state_dict())))
    pixels = clips()
    norm = model.fc_norm
    assert isinstance(norm, nn.LayerNorm)
    with torch.no_grad():
        means = mean_of_places(model.videomae(pixel_values=pixels).last_hidden_state, FRAMES // 2)
        centred = means - means.mean(dim=-1, keepdim=True)
        expected = centred / (means.var(dim=-1, unbiased=False, keepdim=True) + 1e-5).sqrt() * norm.weight + norm.bias
        logits = model(pixel_values=pixels).logits
        of_mean = model.classifier(norm(means.mean(dim=1).float()))
    torch.testing.assert_close(encoder(pixels).double(), expected, rtol=1e-5, atol=1e-5)
    # So the whole clip's mean, normed, is what the classifier sees.
    torch.testing.assert_close(of_mean, logits, rtol=1e-4, atol=1e-4)


@pytest.mark.numeric
def test_a_videomae_that_was_not_fine_tuned_norms_its_tokens(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = VideoMAEForPreTraining(VideoMAEConfig(**ARGUMENTS[VIDEOMAE], use_mean_pooling=False)).eval()
    weights = saved(tmp_path / "model.safetensors", model.state_dict())
    encoder = build_encoder(small_config(VIDEOMAE, weights=weights, arguments={"use_mean_pooling": False}))
    with torch.no_grad():
        tokens = model.videomae(pixel_values=clips()).last_hidden_state
    torch.testing.assert_close(encoder(clips()).double(), mean_of_places(tokens, 4), rtol=1e-5, atol=1e-5)

    with pytest.raises(CheckpointError, match=r"2 missing: fc_norm\.weight, fc_norm\.bias; 2 not known: videomae\.lay"):
        build_encoder(small_config(VIDEOMAE, weights=weights))


def test_files_of_classifiers_and_of_older_versions_have_other_names(tmp_path: Path) -> None:
    old = {
        key.replace("attention.query.bias", "attention.q_bias").replace(
            "attention.value.bias", "attention.v_bias"
        ): value
        for key, value in theirs(VIDEOMAE).state_dict().items()
    }
    assert sum(key.endswith("_bias") for key in old) == 4
    classifier = VJEPA2ForVideoClassification(VJEPA2Config(**ARGUMENTS[VJEPA2], num_pooler_layers=1, num_labels=3))
    torch.save({"model": old}, tmp_path / "pytorch_model.bin")
    new = saved(tmp_path / "new.safetensors", theirs(VIDEOMAE).state_dict())
    assert (
        build_encoder(small_config(VIDEOMAE, weights=tmp_path / "pytorch_model.bin")).fingerprint
        == build_encoder(small_config(VIDEOMAE, weights=new)).fingerprint
    )
    weights = saved(tmp_path / "classifier.safetensors", classifier.state_dict())
    with torch.no_grad():
        tokens = classifier.vjepa2(pixel_values_videos=clips()).last_hidden_state
    found = build_encoder(small_config(VJEPA2, weights=weights))(clips())
    torch.testing.assert_close(found.double(), mean_of_places(tokens, 4), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        (VJEPA2, {"hidden_size": 48}, r"of another shape: encoder\.embeddings\.patch_embeddings\.proj\.weight 24x3x2"),
        (VJEPA2, {"num_hidden_layers": 3}, r"16 missing: encoder\.layer\.2\."),
        (VJEPA2, {"num_hidden_layers": 1}, r"16 not known: encoder\.layer\.1\."),
        (VIDEOMAE, {"patch_size": 16}, r"1 of another shape: videomae\.embeddings\.patch_embeddings\.projection"),
        (VIDEOMAE, {"qv_bias": False}, r"4 not known: videomae\.encoder\.layer\.0\.attention\.attention\.query\.bias"),
    ],
)
def test_weights_of_another_size_do_not_fit(name: str, changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    weights = saved(tmp_path / "model.safetensors", theirs(name).state_dict())
    with pytest.raises(CheckpointError, match=message) as caught:
        build_encoder(small_config(name, weights=weights, arguments=changes))
    assert str(weights) in str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_weights_of_another_network_do_not_fit(name: str, tmp_path: Path) -> None:
    other = theirs(NAMES[1 - NAMES.index(name)])
    for state in (other.state_dict(), timm.create_model("test_vit", num_classes=0).state_dict()):
        weights = saved(tmp_path / "model.safetensors", state)
        with pytest.raises(CheckpointError, match=r"missing: .*not known: .*weights of another architecture"):
            build_encoder(small_config(name, weights=weights))
    with pytest.raises(CheckpointError, match="there is no weight file"):
        build_encoder(small_config(name, weights=tmp_path / "none.safetensors"))


def test_an_image_model_does_not_take_a_video_networks_file(tmp_path: Path) -> None:
    weights = saved(tmp_path / "model.safetensors", theirs(VJEPA2).state_dict())
    with pytest.raises(CheckpointError, match="weights of another architecture"):
        build_encoder(EncoderConfig(name="test_vit", weights=weights))


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        (VJEPA2, {"frames": 7}, r"encoder\.frames=7 does not suit .* parts of 2; give a multiple of 2"),
        (VJEPA2, {"size": 36}, r"encoder\.size=36 does not suit .* parts of 8; give a multiple of 8"),
        (VIDEOMAE, {"frames": 16}, r"encoder\.frames=16 is not allowed: .* allowed is 8; .*\{num_frames: 16\}"),
        (VIDEOMAE, {"size": 64}, r"encoder\.size=64 is not allowed: .* allowed is 32; .*\{image_size: 64\}"),
        (VIDEOMAE, {"arguments": {"num_frames": 9}}, r"encoder\.frames=9 does not suit .* give a multiple of 2"),
        (VJEPA2, {"arguments": {"tubelet_size": 0}}, "patches and tubelets have a side of 1 or more"),
        (VJEPA2, {"arguments": {"hiden_size": 48}}, r"holds 'hiden_size', .*did you mean 'hidden_size'\?"),
        (VJEPA2, {"arguments": {"in_chans": 1}}, "holds 'in_chans', which cannot be given"),
        (VJEPA2, {"arguments": {"hidden_size": "wide"}}, "do not suit the encoder .* expected int, got str"),
        (VJEPA2, {"arguments": {"hidden_size": 25}}, "do not suit the encoder .* not a multiple of the number of att"),
        (VIDEOMAE, {"arguments": {"hidden_act": "cube"}}, "do not suit the encoder .*'cube'"),
    ],
)
def test_what_a_video_network_cannot_do_is_refused(name: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_encoder(small_config(name, **settings))


def test_others_have_no_frames_of_their_own(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"encoder\.frames=16 is not allowed: 'test_vit' takes single frames"):
        build_encoder(EncoderConfig(name="test_vit", weights="random", frames=16))
    with pytest.raises(ValueError, match=r"encoder\.frames=16 is not allowed: the encoder tiny takes no other setting"):
        EncoderConfig(frames=16)
    adapted = small_config(VJEPA2, weights=tmp_path / "adapters.pth", temporal_adapters=1)
    with pytest.raises(ConfigError, match=r"temporal_adapters=1: the adapters are AIM's, for a CLIP ViT"):
        build_encoder(adapted)


@pytest.mark.parametrize("name", NAMES)
def test_pixels_are_imagenets_unless_the_config_says_otherwise(name: str) -> None:
    own = build_encoder(small_config(name)).pixel_format
    assert (own.size, own.mean, own.std) == (SIZE, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert own.interpolation == "bilinear"
    changes: dict[str, Any] = {"mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6), "interpolation": "bicubic"}
    changed = build_encoder(small_config(name, **changes)).pixel_format
    assert {key: getattr(changed, key) for key in changes} == changes


@pytest.mark.parametrize(
    ("name", "settings", "shape"),
    [
        ("vjepa2-vit-l", {}, (1024, 64, 256)),
        ("vjepa2-vit-g", {}, (1408, 64, 256)),
        ("vjepa2-vit-g", {"frames": 16}, (1408, 16, 256)),
        ("videomae-vit-b", {}, (768, 16, 224)),
        ("videomae-vit-b-ssv2", {}, (768, 16, 224)),
    ],
)
def test_presets_have_the_published_sizes(name: str, settings: dict[str, Any], shape: tuple[int, ...]) -> None:
    # A single layer of each: they are large.
    encoder = build_encoder(EncoderConfig(name=name, weights="random", arguments={"num_hidden_layers": 1}, **settings))
    assert (encoder.dim, encoder.clip_frames, encoder.pixel_format.size) == shape
    widths = {"vjepa2-vit-l": (4096, 16), "vjepa2-vit-g": (6144, 22)}.get(name, (3072, 12))
    heads = {module.num_attention_heads for module in encoder.modules() if hasattr(module, "num_attention_heads")}
    wide = max(module.out_features for module in encoder.modules() if isinstance(module, nn.Linear))
    assert (wide, heads) == (widths[0], {widths[1]})


def test_random_weights_are_seeded_and_what_is_computed_is_in_the_fingerprint() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first = build_encoder(small_config(VJEPA2)).fingerprint
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(4)
    changes: list[dict[str, Any]] = [{}, {"frames": 4}, {"size": 48}, {"arguments": {"layer_norm_eps": 1e-3}}]
    prints = [build_encoder(small_config(VJEPA2, **settings)).fingerprint for settings in changes]
    assert prints[0] == first
    assert len(set(prints)) == len(prints)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty place for downloads."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return tmp_path / "hub"


def test_published_weights_that_are_kept_need_no_network(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "create_connection", None)
    folder = hub / "models--facebook--vjepa2-vitl-fpc64-256"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc")
    (folder / "snapshots" / "abc").mkdir(parents=True)
    weights = saved(folder / "snapshots" / "abc" / "model.safetensors", theirs(VJEPA2).state_dict())
    kept = build_encoder(small_config(VJEPA2, weights="hub"))
    assert kept.fingerprint == build_encoder(small_config(VJEPA2, weights=weights)).fingerprint


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("name", VIDEO_PRESETS)
def test_without_a_network_published_weights_are_not_tried(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published_weights, "_answers", lambda _: False)
    monkeypatch.setattr(published_weights, "hf_hub_download", None)
    with pytest.raises(NoNetworkError, match=rf"'{name}' \({VIDEO_PRESETS[name]} on the hub\) could not be downloaded"):
        build_encoder(EncoderConfig(name=name))


@pytest.mark.usefixtures("hub")
def test_either_kind_of_file_is_fetched_and_what_fails_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    torch.save(theirs(VIDEOMAE).state_dict(), tmp_path / "pytorch_model.bin")
    asked = []

    def download(repository: str, name: str) -> str:
        asked.append((repository, name))
        if not (tmp_path / name).exists():
            raise RemoteEntryNotFoundError("no such file", response=_Response())  # type: ignore[arg-type]
        return str(tmp_path / name)

    monkeypatch.setattr(published_weights, "_answers", lambda _: True)
    monkeypatch.setattr(published_weights, "hf_hub_download", download)
    assert build_encoder(small_config(VIDEOMAE, weights="hub")).dim == DIM
    assert asked == [(VIDEO_PRESETS[VIDEOMAE], name) for name in ("model.safetensors", "pytorch_model.bin")]

    (tmp_path / "pytorch_model.bin").unlink()
    with pytest.raises(CheckpointError, match=r"cannot be downloaded .*add -s encoder\.weights=FILE"):
        build_encoder(small_config(VIDEOMAE, weights="hub"))


class _Response:
    """What the hub's errors hold."""

    headers: Mapping[str, str] = {}
    request = None


@pytest.mark.parametrize("name", NAMES)
def test_without_the_extra_one_line_says_what_to_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda _: None)
    with pytest.raises(EssentialError) as caught:
        build_encoder(EncoderConfig(name=name))
    assert str(caught.value) == (
        f"the encoder {name!r} needs transformers, which is not installed here; install it: "
        "pip install 'essential-video[transformers]'"
    )


def test_transformers_is_loaded_by_these_alone_and_says_nothing() -> None:
    program = (
        "import sys; from essential.encoders import EncoderConfig, build_encoder; import torch; build_encoder("
        "EncoderConfig(name='test_vit', weights='random')); import essential.learner; "
        "assert 'transformers' not in sys.modules; from small_video_networks import *; "
        "[build_encoder(small_config(name))(torch.zeros(1, 8, 3, 32, 32), 2) for name in ARGUMENTS]"
    )
    # The small networks are a module of the tests.
    here = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=here)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
