"""The embedded benchmark's files: layout, determinism, interruption, and folders that hold something else."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Literal

import av
import numpy as np
import pytest

from essential.errors import DataError
from essential.files.atomic import folder_lock
from essential.protocols import moving_digits
from essential.protocols.folder import folder_listing
from essential.protocols.moving_digits import MARKER, MovingDigitsConfig, encode, make_moving_digits
from seen_progress import SeenProgress, Step

SMALL = MovingDigitsConfig(digits=1, train_clips_per_class=4, test_clips_per_class=1, frames=8, size=32)
CLIPS = 8 * 5


def contents(root: Path) -> dict[str, bytes]:
    """Return every file but the lock."""
    files = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made") / "digits"
    make_moving_digits(root, SMALL, workers=2)
    return root


def test_layout_is_split_class_clip_and_every_fourth_clip_is_avi(made: Path) -> None:
    videos = folder_listing(made).videos
    assert len(videos) == CLIPS
    assert set(Counter(video.label for video in videos).values()) == {5}
    assert {video.label for video in videos} == {
        f"2-{motion}" for motion in ("left", "right", "up", "down", "grow", "shrink", "turn-left", "turn-right")
    }
    suffixes = Counter((video.split, video.path.suffix) for video in videos)
    assert suffixes == {("train", ".mp4"): 24, ("train", ".avi"): 8, ("test", ".mp4"): 8}


def test_default_is_24_classes_of_40_and_20_clips() -> None:
    clips = moving_digits._clips(MovingDigitsConfig())
    assert Counter(clip.split for clip in clips) == {"train": 960, "test": 480}
    assert set(Counter((clip.split, clip.label) for clip in clips).values()) == {40, 20}
    assert len({clip.label for clip in clips}) == 24
    assert len({clip.name for clip in clips}) == 1440
    assert sum(clip.name.endswith(".avi") for clip in clips) == 360


def test_same_config_gives_the_same_bytes_whatever_the_workers(made: Path, tmp_path: Path) -> None:
    make_moving_digits(tmp_path, SMALL, workers=1)
    assert contents(tmp_path) == contents(made)
    assert len(contents(tmp_path)) == CLIPS + 1


def test_a_clip_does_not_depend_on_how_many_there_are(made: Path, tmp_path: Path) -> None:
    make_moving_digits(tmp_path, SMALL.model_copy(update={"train_clips_per_class": 2}), workers=2)
    fewer, more = contents(tmp_path), contents(made)
    clips = [name for name in fewer if name != MARKER]
    assert len(clips) == 8 * 3
    assert all(fewer[name] == more[name] for name in clips)


def test_another_seed_gives_other_clips(made: Path, tmp_path: Path) -> None:
    make_moving_digits(tmp_path, SMALL.model_copy(update={"seed": 1}), workers=2)
    ours, theirs = contents(tmp_path), contents(made)
    assert set(ours) == set(theirs)
    assert not any(ours[name] == theirs[name] for name in ours)


@pytest.mark.parametrize("container", ["mp4", "avi"])
def test_files_hold_the_frames_and_have_b_frames(container: Literal["mp4", "avi"], tmp_path: Path) -> None:
    clip = moving_digits._Clip("train", 2, "left", 0)
    frames = moving_digits._draw_clip(clip, MovingDigitsConfig())
    path = tmp_path / f"clip.{container}"
    path.write_bytes(encode(frames, container))
    with av.open(str(path)) as file:
        assert file.streams.video[0].codec_context.name == {"mp4": "h264", "avi": "mpeg4"}[container]
        decoded = list(file.decode(video=0))
    assert len(decoded) == 28
    frames_read = np.stack([frame.to_ndarray(format="rgb24") for frame in decoded])
    assert np.abs(frames_read.astype(int) - frames).mean() < 8
    assert sum(frame.pict_type == av.video.frame.PictureType.B for frame in decoded) >= 14


def test_untrimmed_clips_are_twice_as_long_and_still_at_one_end_at_least() -> None:
    config = MovingDigitsConfig(untrimmed=True)
    for index in range(5):
        frames = moving_digits._draw_clip(moving_digits._Clip("train", 2, "up", index), config).astype(int)
        assert len(frames) == 56
        # Of a still stretch only the grain differs; where the digit moves more does.
        changes = np.abs(np.diff(frames, axis=0)).mean((1, 2, 3))
        assert min(changes[:3].mean(), changes[-3:].mean()) < changes.max()


def test_a_killed_call_is_completed_by_calling_again(made: Path, tmp_path: Path) -> None:
    make_moving_digits(tmp_path, SMALL, workers=2)
    whole = contents(tmp_path)
    marker = json.loads((tmp_path / MARKER).read_text())
    (tmp_path / MARKER).write_text(json.dumps({**marker, "sha256": None}))
    (tmp_path / "train/2-up/0001.mp4").unlink()
    (tmp_path / "train/2-up/.0001.mp4.abc.tmp").write_bytes(b"half a clip")
    kept = tmp_path / "train/2-up/0000.mp4"
    written = kept.stat().st_mtime_ns
    make_moving_digits(tmp_path, SMALL, workers=2)
    assert contents(tmp_path) == whole == contents(made)
    assert kept.stat().st_mtime_ns == written


def test_an_interrupted_call_leaves_whole_files_that_are_used(made: Path, tmp_path: Path) -> None:
    def stop(step: Step) -> None:
        assert step[1] == CLIPS
        if step[0] == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_moving_digits(tmp_path, SMALL, workers=2, progress=SeenProgress(stop))
    partial = contents(tmp_path)
    assert 5 <= len(partial) - 1 < CLIPS
    assert json.loads(partial.pop(MARKER))["sha256"] is None
    assert all(contents(made)[name] == content for name, content in partial.items())
    seen = SeenProgress()
    make_moving_digits(tmp_path, SMALL, workers=2, progress=seen)
    assert seen.steps == [(done, CLIPS) for done in range(len(partial), CLIPS + 1)]
    assert contents(tmp_path) == contents(made)


def test_a_complete_folder_is_left_as_it_is(made: Path) -> None:
    times = {path: path.stat().st_mtime_ns for path in made.rglob("*") if path.is_file()}
    make_moving_digits(made, SMALL, workers=2)
    assert times == {path: path.stat().st_mtime_ns for path in times}


@pytest.mark.parametrize(("key", "value", "old"), [("seed", 7, "0"), ("frames", 9, "8"), ("untrimmed", True, "False")])
def test_a_folder_of_another_config_is_refused(made: Path, key: str, value: int, old: str) -> None:
    with pytest.raises(DataError, match=f"holds moving-digits with {key}={old}, not {key}={value}"):
        make_moving_digits(made, SMALL.model_copy(update={key: value}), workers=1)


def test_a_folder_of_other_data_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "train/walking").mkdir(parents=True)
    with pytest.raises(
        DataError, match="already holds 'train', so moving-digits cannot be made there; choose an empty folder"
    ):
        make_moving_digits(tmp_path, SMALL, workers=1)
    assert contents(tmp_path) == {}


def test_a_clip_that_changed_is_noticed(tmp_path: Path) -> None:
    make_moving_digits(tmp_path, SMALL, workers=2)
    (tmp_path / "test/2-up/0000.mp4").write_bytes(b"something else")
    with pytest.raises(DataError, match="do not match the checksum; delete the folder"):
        make_moving_digits(tmp_path, SMALL, workers=2)


def test_an_unreadable_marker_is_refused(tmp_path: Path) -> None:
    (tmp_path / MARKER).write_text("{")
    with pytest.raises(DataError, match=rf"{MARKER} cannot be read"):
        make_moving_digits(tmp_path, SMALL, workers=2)


def test_a_value_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"(?s)digits.*less than or equal to 10.*input_value=11"):
        MovingDigitsConfig(digits=11)
    with pytest.raises(ValueError, match=r"(?s)size.*multiple of 2.*input_value=33"):
        MovingDigitsConfig(size=33)


def test_the_protocol_needs_no_torch() -> None:
    code = "import sys, essential.protocols.moving_digits; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_folder_may_be_that_of_the_run_that_asks_for_them(tmp_path: Path) -> None:
    with folder_lock(tmp_path):
        make_moving_digits(tmp_path, SMALL.model_copy(update={"train_clips_per_class": 1}), workers=2)
    assert (tmp_path / MARKER).is_file()
