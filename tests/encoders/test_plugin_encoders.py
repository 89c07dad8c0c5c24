"""Encoders of plug-ins: built by name, frozen, refused by name where they are none, and named without an import."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from essential.encoders import ENCODERS, EncoderConfig, build_encoder
from essential.encoders.base import Encoder
from essential.errors import ConfigError
from essential.registry import Registry
from made_plugins import make_plugin

SOURCE = """
import torch
from essential.encoders.base import Encoder
from essential.video.config import PixelFormat

PIXELS = PixelFormat(size=4, mean=(0.0,) * 3, std=(1.0,) * 3, interpolation="bilinear")


class Mean(Encoder):
    def __init__(self, scale):
        super().__init__("mean", dim=3, pixel_format=PIXELS, architecture="mean of each colour")
        self.scale = torch.nn.Parameter(torch.tensor(float(scale)))

    def encode(self, clips):
        return self.scale * clips.mean(dim=(3, 4))


def build(config):
    return Mean(config.arguments.get("scale", 1))


def wrong(config):
    return torch.nn.Linear(2, 2)


NONE = 3
"""
Install = Callable[[str], Registry[Callable[[EncoderConfig], Encoder]]]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return a function that installs encoders, by name an attribute of SOURCE, and looks for plug-ins again."""

    def install(attributes: str) -> Registry[Callable[[EncoderConfig], Encoder]]:
        named = {name: f"made_encoders:{name}" for name in attributes.split()}
        make_plugin(tmp_path, "made", {"essential.encoders": named}, modules={"made_encoders": SOURCE})
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "made_encoders", raising=False)
        for name, fresh in {"_used": {}, "_broken": {}, "_found": None}.items():
            monkeypatch.setattr(ENCODERS, name, fresh)
        return ENCODERS

    return install


def test_an_encoder_of_a_plugin_is_built_by_name_and_frozen(install: Install) -> None:
    assert "build" in install("build").names()
    encoder = build_encoder(EncoderConfig(name="build", arguments={"scale": 2}))
    assert not any(parameter.requires_grad for parameter in encoder.train().parameters())
    assert torch.equal(encoder(torch.full((1, 2, 3, 4, 4), 0.5)), torch.ones(1, 2, 3))
    assert encoder.fingerprint != build_encoder(EncoderConfig(name="build")).fingerprint


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wrong", "the encoder 'wrong' of a plug-in is a Linear, and must be an Encoder"),
        (
            "NONE",
            "'NONE' cannot be used: made: it is 3, and must be a function",
        ),
        ("absent", "the encoder 'absent' cannot be used: made: .*raised AttributeError"),
        ("biuld", r"encoder\.name='biuld' is unknown \(did you mean 'build'\?\); use tiny, clip-vit-b16, .*, build"),
    ],
)
def test_what_is_no_encoder_is_refused_by_name(name: str, message: str, install: Install) -> None:
    install("build wrong NONE absent")
    with pytest.raises(ConfigError, match=message):
        build_encoder(EncoderConfig(name=name))
    assert build_encoder(EncoderConfig()).name == "tiny"


def test_to_name_encoders_imports_no_torch() -> None:
    code = "import sys; from essential.encoders import ENCODERS, EncoderConfig; EncoderConfig(); ENCODERS.names()"
    code += "; from essential.video.config import AugmentConfig; from essential.features.config import FeaturesConfig"
    heavy = "; assert not {'torch', 'torchvision', 'timm', 'av'} & sys.modules.keys()"
    assert subprocess.run([sys.executable, "-c", code + heavy], check=False).returncode == 0
