"""Published weights: those that are there are taken without a network, and without one it is said at once."""

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from essential.encoders import EncoderConfig, build_encoder, published_weights
from essential.errors import NoNetworkError

NOTHING = r"no network: the published weights of the encoder 'clip-vit-b16' \(vit_base_patch16_clip_quickgelu_224"


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty place for downloads, and no proxy."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return tmp_path / "hub"


def _refused(*_: object, **__: object) -> socket.socket:
    raise OSError("no route")


def _never(*_: object, **__: object) -> socket.socket:
    threading.Event().wait()
    raise AssertionError


@pytest.mark.parametrize("connect", [_refused, _never])
def test_without_a_network_nothing_is_tried(
    connect: Callable[..., socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "create_connection", connect)
    monkeypatch.setattr(published_weights, "_SECONDS", 0.05)
    monkeypatch.setattr(timm, "create_model", None)
    for name in ("clip-vit-b16", "vit_base_patch16_clip_quickgelu_224.openai"):
        with pytest.raises(NoNetworkError, match=NOTHING.replace("clip-vit-b16", name)):
            build_encoder(EncoderConfig(name=name))


def test_one_who_is_offline_on_purpose_is_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(socket, "create_connection", None)
    with pytest.raises(NoNetworkError, match=NOTHING):
        build_encoder(EncoderConfig(name="clip-vit-b16"))


@pytest.mark.parametrize(
    ("proxy", "asked"), [("", ("models.example", 443)), ("http://10.0.0.1:3128", ("10.0.0.1", 3128)), ("p:1", ("p", 1))]
)
def test_the_network_is_looked_for_where_it_would_be_used(
    proxy: str, asked: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[tuple[str, int]] = []

    def connect(address: tuple[str, int], _: float) -> socket.socket:
        found.append(address)
        return socket.socket()

    monkeypatch.setattr(constants, "ENDPOINT", "https://models.example")
    monkeypatch.setattr(socket, "create_connection", connect)
    if proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
    published_weights.refuse_without_network(EncoderConfig(name="clip-vit-b16"))
    assert found == [asked]


def test_weights_that_were_downloaded_need_no_network(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "create_connection", _refused)
    network = timm.create_model("test_vit.r160_in1k")
    folder = cache / "models--timm--test_vit.r160_in1k"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc")
    (folder / "snapshots" / "abc").mkdir(parents=True)
    save_file(network.state_dict(), folder / "snapshots" / "abc" / "model.safetensors")
    encoder = build_encoder(EncoderConfig(name="test_vit.r160_in1k", size=64))
    pixels = torch.rand(1, 1, 3, 64, 64)
    network.set_input_size(img_size=(64, 64))
    expected = network.eval().forward_head(network.forward_features(pixels[0]), pre_logits=True)
    torch.testing.assert_close(encoder(pixels)[0], expected, rtol=1e-4, atol=1e-5)
