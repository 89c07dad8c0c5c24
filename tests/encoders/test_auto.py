"""`encoder.name=auto`: CLIP where its weights are, else the encoder that is installed; nothing kept says `auto`."""

from pathlib import Path
from typing import Any

import pytest
import timm

from essential import VideoLearner
from essential.encoders.config import CLIP_REPOSITORY, PRESETS, EncoderConfig
from essential.engine.config import load_config
from essential.engine.run import train
from essential.engine.run_folder import RunFolder
from essential.errors import ConfigError, RunError
from essential.learner.bundle import Bundle
from kept_clip import keep_clip
from seen_progress import SeenProgress
from small_runs import small_overrides

AUTO = EncoderConfig.model_validate({"name": "auto"})


def test_it_is_the_installed_encoder_until_clip_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    auto = EncoderConfig(name="auto")
    assert auto.model_dump() == EncoderConfig(name="efficientnet-lite0").model_dump()
    assert auto.choice is not None
    assert auto.choice.startswith("encoder: efficientnet-lite0, as CLIP's weights are not on this machine")
    assert "-s encoder.name=clip-vit-b16" in auto.choice
    keep_clip(monkeypatch, tmp_path)
    later = EncoderConfig(name="auto")
    assert later.name == "clip-vit-b16"
    assert later.choice == "encoder: clip-vit-b16, whose weights are on this machine"


def test_clip_is_looked_for_where_timm_puts_it() -> None:
    published = timm.get_pretrained_cfg(PRESETS["clip-vit-b16"])
    assert published.hf_hub_id == CLIP_REPOSITORY
    assert not published.custom_load


@pytest.mark.parametrize("weights", ["model.safetensors", "hub", "random"])
def test_weights_that_are_given_are_clips(weights: str) -> None:
    config = EncoderConfig.model_validate({"name": "auto", "weights": weights})
    assert (config.name, config.choice) == ("clip-vit-b16", None)


def test_a_named_encoder_is_nobodys_choice() -> None:
    assert EncoderConfig(name="efficientnet-lite0").choice is None
    # Written and read again, it is named.
    assert EncoderConfig.model_validate(EncoderConfig(name="auto").model_dump()).choice is None


@pytest.mark.parametrize("wrong", [{"wieghts": "a.pth"}, {"size": 3}])
def test_its_other_settings_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=rf"config own/spectral: .*encoder\.{next(iter(wrong))}|unknown key"):
        load_config("own/spectral", [f"encoder.{key}={value}" for key, value in wrong.items()])


def test_a_run_goes_on_with_its_own_encoder(small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = SeenProgress()
    config = load_config(
        "own/spectral",
        [*small_overrides(small_data, tmp_path / "store", rehearsal=False), "encoder.size=32", "features.views=0"],
    )
    record = train(config, tmp_path / "run", progress=said)
    assert config.encoder.choice in said.notes
    run = RunFolder(tmp_path / "run")
    assert run.config().encoder.name == record.encoder.name == "efficientnet-lite0"
    keep_clip(monkeypatch, tmp_path / "hub")
    later = config.model_copy(update={"encoder": EncoderConfig.model_validate({"name": "auto", "size": 32})})
    assert later.encoder.name == "clip-vit-b16"
    assert train(later, tmp_path / "run", resume=True) == record
    larger = config.model_copy(update={"encoder": EncoderConfig.model_validate({"name": "auto", "size": 64})})
    with pytest.raises(RunError, match=r"encoder\.size: there 32, here 64"):
        train(larger, tmp_path / "run", resume=True)
    with pytest.raises(RunError, match="holds a run already"):
        train(later, tmp_path / "run")
    named = config.model_copy(update={"encoder": EncoderConfig(name="clip-vit-b16", size=32)})
    with pytest.raises(RunError, match=r"encoder\.name: there 'efficientnet-lite0', here 'clip-vit-b16'"):
        train(named, tmp_path / "run", resume=True)


def test_a_learner_says_which_and_its_bundle_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = SeenProgress()
    learner = VideoLearner(progress=said)
    assert said.notes == [AUTO.choice]
    learner.save(tmp_path / "empty.bundle")
    keep_clip(monkeypatch, tmp_path / "hub")
    again = VideoLearner.load(tmp_path / "empty.bundle", progress=said)
    assert again.encoder.fingerprint == learner.encoder.fingerprint
    assert Bundle.read(tmp_path / "empty.bundle").config.encoder.name == "efficientnet-lite0"
    assert len(said.notes) == 1
    VideoLearner(encoder="tiny", progress=said)
    VideoLearner(feature_dim=8, progress=said)
    assert len(said.notes) == 1
