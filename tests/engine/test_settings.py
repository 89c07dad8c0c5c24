"""What of a config decides a run's numbers, and what only says where things are on this machine."""

from pathlib import Path
from typing import Any

import pytest

from essential.engine.config import load_config
from essential.engine.settings import RunConfig


def _config(*overrides: str) -> RunConfig:
    return load_config("moving-digits/joint", ["encoder.name=clip-vit-b16", *overrides])


def test_a_weight_files_place_is_made_absolute_and_decides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    near, far = _config("encoder.weights=clip.pth"), _config("encoder.weights=/elsewhere/clip.pth")
    assert near.with_absolute_paths().encoder.weights == tmp_path / "clip.pth"
    assert near.identity() == far.identity() == near.with_absolute_paths().identity()


def test_words_for_weights_are_no_paths_and_do_decide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    hub, random = _config("encoder.weights=hub"), _config("encoder.weights=random")
    assert (hub.with_absolute_paths().encoder.weights, random.with_absolute_paths().encoder.weights) == (
        "hub",
        "random",
    )
    assert hub.identity() != random.identity()
    assert _config("encoder.weights=clip.pth").identity() not in (hub.identity(), random.identity())


@pytest.mark.parametrize(
    "override",
    ["encoder.size=96", "encoder.mean=[0.1, 0.2, 0.3]", "encoder.arguments={depth: 3}", "encoder.name=vit_x"],
)
def test_every_other_encoder_setting_decides(override: str) -> None:
    assert _config(override).identity() != _config().identity()


@pytest.mark.parametrize(
    "override",
    ["method.blend=true", "features.train_on=both", "method.classifier.fewest_heads=8", "encoder.frames=8"],
)
def test_settings_that_came_later_decide_where_they_change_something(override: str) -> None:
    key = override.partition("=")[0].split(".")

    def of(identity: Any) -> Any:
        for part in key[:-1]:
            identity = identity[part]
        return identity.get(key[-1], "not set")

    assert of(_config().identity()) == "not set"
    assert of(_config(override).identity()) in (True, "both", 8)
