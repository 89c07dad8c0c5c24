"""A bundle's precision: what was taught in 8 bits is asked in 8 bits, or says why it cannot be; and its export."""

import json
import platform
from pathlib import Path

import pytest

from essential import VideoLearner
from essential.errors import BundleError, ConfigError
from essential.export import export_bundle
from essential.features import precision
from taught import MACHINE, Clips, new_learner


@pytest.fixture(scope="module")
def bundle(clips: Clips, tmp_path_factory: pytest.TempPathFactory) -> Path:
    learner = new_learner("features.precision=int8", "features.workers=0", method="ncm")
    learner.learn(clips.to_teach("left", "right"))
    path = tmp_path_factory.mktemp("precision") / "whole-numbers.bundle"
    learner.save(path)
    return path


def test_it_predicts_as_it_was_taught(bundle: Path, clips: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    computing = precision.computing
    monkeypatch.setattr("essential.features.pipeline.computing", lambda *how: asked.append(how[0]) or computing(*how))
    learner = VideoLearner.load(bundle, overrides=[*MACHINE, "features.workers=0"])
    files = [path for paths in clips.to_ask("left", "right").values() for path in paths]
    told = learner.predict(files)
    learner.predict_spans(files[0], window_seconds=0.5)
    assert set(asked) == {"int8"}
    monkeypatch.undo()
    again = VideoLearner.load(bundle, overrides=[*MACHINE, "features.workers=0", "features.batch_clips=3"])
    assert [each.top for each in again.predict(files)] == [each.top for each in told]


def test_another_precision_than_it_was_taught_in_is_refused(bundle: Path) -> None:
    with pytest.raises(
        BundleError, match=r"begun with other settings: features\.precision: there 'int8', here 'float32'"
    ):
        VideoLearner.load(bundle, overrides=[*MACHINE, "features.precision=float32"])


def test_a_machine_that_cannot_compute_it_says_so(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(
        BundleError, match=r"whole-numbers\.bundle: features\.precision=int8 is not possible: on aarch64"
    ):
        VideoLearner.load(bundle, overrides=MACHINE)
    with pytest.raises(ConfigError, match=r"^features\.precision=int8 is not possible: on aarch64"):
        new_learner("features.precision=int8")


def test_its_export_computes_in_float32_and_says_how_far_that_is(bundle: Path, tmp_path: Path) -> None:
    note = json.loads(export_bundle(bundle, tmp_path / "whole.pt2", overrides=MACHINE[1:]).note.read_text())
    assert note["taught_in"]["precision"] == "int8"
    assert 0 < note["taught_in"]["largest_difference"] < 0.1
    assert note["checked"]["largest_difference"] < 1e-4
    made = export_bundle(bundle, tmp_path / "features.pt2", takes="features", overrides=MACHINE[1:])
    assert json.loads(made.note.read_text())["taught_in"] == {"precision": "int8"}
