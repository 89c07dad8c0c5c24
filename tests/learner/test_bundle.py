"""The bundle's file: what is refused, by name, and what stands in it."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from essential import VideoLearner
from essential.errors import BundleError, CheckpointError, InUseError
from essential.files.atomic import file_lock
from essential.files.sealed import read_sealed, write_sealed
from essential.learner.bundle import VERSION, Bundle
from taught import MACHINE, Clips


def _rewritten(bundle: Path, target: Path, **changes: Any) -> Path:
    arrays, metadata = read_sealed(bundle, CheckpointError)
    write_sealed(target, arrays, {**metadata, **changes})
    return target


def test_a_bundle_names_no_place_of_this_machine(taught_bundle: Path, tmp_path: Path) -> None:
    content = taught_bundle.read_bytes()
    assert str(tmp_path.parent).encode() not in content
    assert b"/tmp" not in content
    _, metadata = read_sealed(taught_bundle, CheckpointError)
    assert metadata["labels"] == ["left", "right"]
    assert metadata["version"] == VERSION
    assert json.loads(json.dumps(metadata)) == metadata


def test_a_bundle_that_is_not_there_or_is_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"there is no bundle .*gone\.bundle; make one"):
        VideoLearner.load(tmp_path / "gone.bundle")
    with pytest.raises(BundleError, match="is a folder"):
        VideoLearner.load(tmp_path)
    (tmp_path / "text.bundle").write_text("hello")
    with pytest.raises(BundleError, match=r"text\.bundle .*restore it from a copy"):
        VideoLearner.load(tmp_path / "text.bundle")
    write_sealed(tmp_path / "other.bundle", {}, {"what": "episodic memory"})
    with pytest.raises(BundleError, match="another file of essential, not a bundle"):
        VideoLearner.load(tmp_path / "other.bundle")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.999])
def test_a_bundle_cut_short_is_refused(taught_bundle: Path, tmp_path: Path, share: float) -> None:
    content = taught_bundle.read_bytes()
    cut = tmp_path / "cut.bundle"
    cut.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(BundleError, match=r"cut\.bundle"):
        VideoLearner.load(cut)


@pytest.mark.parametrize("place", [0.3, 0.7, 0.99])
def test_a_changed_byte_is_seen(taught_bundle: Path, tmp_path: Path, place: float) -> None:
    content = bytearray(taught_bundle.read_bytes())
    content[int(len(content) * place)] ^= 1
    changed = tmp_path / "changed.bundle"
    changed.write_bytes(bytes(content))
    with pytest.raises(BundleError, match="does not match its checksum"):
        VideoLearner.load(changed)


def test_a_label_changed_in_the_header_is_seen(taught_bundle: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed.bundle"
    changed.write_bytes(taught_bundle.read_bytes().replace(b"right", b"wrong"))
    with pytest.raises(BundleError, match="checksum"):
        VideoLearner.load(changed)


def test_a_newer_version_is_refused_with_what_to_do(taught_bundle: Path, tmp_path: Path) -> None:
    newer = _rewritten(taught_bundle, tmp_path / "newer.bundle", version=VERSION + 1)
    with pytest.raises(BundleError, match=rf"version {VERSION + 1}.*reads {VERSION} at most; install"):
        VideoLearner.load(newer)


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 0},
        {"version": True},
        {"labels": None},
        {"labels": "lr"},
        {"labels": [1, 2]},
        {"labels": ["left", "right", "up"]},
        {"labels": ["left"]},
        {"held_out_per_class": "x"},
        {"taught": None},
        {"lessons": [{}]},
        {"config": {}},
        {"encoder": {"name": "tiny", "fingerprint": 5, "dim": 128}},
        {"encoder": {"name": "tiny", "fingerprint": "x", "dim": 64}},
    ],
    ids=str,
)
def test_a_bundle_of_wrong_content_under_a_new_seal_is_refused(
    taught_bundle: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    with pytest.raises(BundleError, match=r"odd\.bundle"):
        VideoLearner.load(_rewritten(taught_bundle, tmp_path / "odd.bundle", **changes))


def test_a_bundle_of_wrong_arrays_under_a_new_seal_is_refused(taught_bundle: Path, tmp_path: Path) -> None:
    arrays, metadata = read_sealed(taught_bundle, CheckpointError)
    # Without the means of exemplars a state is whole.
    needed = [name for name in arrays if not name.endswith("exemplar_means")]
    left_out = [{key: value for key, value in arrays.items() if key != name} for name in needed]
    others = [
        {**arrays, "method.task_slots": arrays["method.task_slots"] * 1.5},
        {**arrays, "method.task_slots": arrays["method.task_slots"] + 5},
        {**arrays, "held_out.slots": arrays["held_out.slots"][:1]},
        {**arrays, "held_out.slots": arrays["held_out.slots"] + 9},
        {**arrays, "method.memory.slots": arrays["method.memory.slots"] + 9},
    ]
    assert len(left_out) >= 15
    for place, changed in enumerate([*left_out, *others]):
        target = tmp_path / f"{place}.bundle"
        write_sealed(target, changed, metadata)
        with pytest.raises(BundleError, match=rf"{place}\.bundle"):
            VideoLearner.load(target)


def test_clips_held_out_are_read_as_version_1_kept_them_and_learned_on_with(
    taught_bundle: Path, tmp_path: Path, clips: Clips
) -> None:
    arrays, metadata = read_sealed(taught_bundle, CheckpointError)
    new = Bundle.read(taught_bundle).model.held_out
    old = {name: array for name, array in arrays.items() if not name.startswith("held_out.")}
    features = new.features.numpy().astype(np.float16)
    old |= {"held_out.features": features, "held_out.slots": new.slots.numpy().astype(np.int32)}
    write_sealed(tmp_path / "old.bundle", old, {**metadata, "version": 1})
    learner = VideoLearner.load(tmp_path / "old.bundle", overrides=MACHINE)
    assert learner.held_out.slots.equal(new.slots)
    # Two times 8 bits and once float16: at most half a step of each in every number, see tests/memory.
    step = (new.features - new.features.mean(dim=(0, 1))).norm(dim=2, keepdim=True) / 255
    assert ((learner.held_out.features - new.features).norm(dim=2) <= 3 * step[..., 0] * features.shape[2] ** 0.5).all()
    learner.learn(clips.to_teach("up"))
    learner.save(tmp_path / "new.bundle")
    again = VideoLearner.load(tmp_path / "new.bundle", overrides=MACHINE)
    assert torch.equal(again.held_out.features, learner.held_out.features)
    for name, value in (("features", features.astype(np.float32)), ("slots", old["held_out.slots"].astype(np.int64))):
        write_sealed(tmp_path / "odd.bundle", {**old, f"held_out.{name}": value}, {**metadata, "version": 1})
        with pytest.raises(BundleError, match=rf"odd\.bundle is not a bundle .*held-out clips of type .*{value.dtype}"):
            VideoLearner.load(tmp_path / "odd.bundle")


def test_another_encoder_is_refused(taught_bundle: Path, tmp_path: Path) -> None:
    encoder = {"name": "tiny", "fingerprint": "0" * 64, "dim": 128}
    other = _rewritten(taught_bundle, tmp_path / "other.bundle", encoder=encoder)
    with pytest.raises(BundleError, match=r"taught with features of 'tiny' \(fingerprint 000000000000\)"):
        VideoLearner.load(other)
    with pytest.raises(BundleError, match=r"encoder\.name: there 'tiny', here 'clip-vit-b16'"):
        VideoLearner.load(taught_bundle, overrides=["encoder.name=clip-vit-b16"])


def test_settings_of_the_machine_may_change_and_others_may_not(taught_bundle: Path) -> None:
    learner = VideoLearner.load(taught_bundle, overrides=["features.workers=0", *MACHINE])
    assert learner.config.features.workers == 0
    with pytest.raises(BundleError, match=r"training\.epochs: there 5, here 6"):
        VideoLearner.load(taught_bundle, overrides=["training.epochs=6"])


def test_a_bundle_is_one_process_at_a_time(taught_bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.bundle"
    shutil.copy(taught_bundle, path)
    with file_lock(path), pytest.raises(InUseError), file_lock(path):
        pass
    with file_lock(path):
        assert Bundle.read(path).model.labels == ("left", "right")
