"""Features of segments and of folders of frames: stored and live are equal, and what cannot be read is named."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from essential.errors import DataError, StoreError
from essential.features.config import FeaturesConfig
from essential.features.extract import extract
from essential.features.provenance import Recipe
from essential.features.source import LiveSource, StoredSource
from essential.protocols.protocol import Segment, Video
from video_files import numbered_picture, write_numbered_video


@pytest.fixture
def parts(tmp_path: Path) -> list[Video]:
    """Return a whole video, two segments of it, and a folder of frames with the pictures of the first."""
    file = write_numbered_video(tmp_path / "v.mkv", 40, codec="ffv1", b_frames=0)
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(10):
        Image.fromarray(numbered_picture(number)).save(folder / f"img_{number:05d}.png")
    return [
        Video("v", str(file), "a", "train"),
        Video("v@0-0.4", str(file), "a", "train", Segment(0.0, 0.4)),
        Video("v@0.4-1.2", str(file), "b", "train", Segment(0.4, 1.2)),
        Video("frames", str(folder), "b", "train"),
    ]


def _features(source: StoredSource | LiveSource, videos: Sequence[Video], view: int) -> np.ndarray:
    table = source.view(videos, view)
    assert [video.key for video in table.videos] == [video.key for video in videos]
    return np.asarray(table.rows(torch.arange(len(videos))).numpy())


def test_stored_and_live_are_equal(parts: list[Video], recipe: Recipe, tmp_path: Path) -> None:
    config = FeaturesConfig(views=2, workers=0)
    assert extract(tmp_path / "store", parts, recipe=recipe, config=config) == {}
    stored = StoredSource(tmp_path / "store", parts, recipe=recipe, config=config)
    live = LiveSource(recipe, FeaturesConfig(mode="live", workers=0))
    for view in range(3):
        features = _features(stored, parts, view)
        assert np.array_equal(features, _features(live, parts, view))
        assert len(np.unique(features.round(4), axis=0)) == (4 if view else len(parts))
    whole, first, second, _ = _features(stored, parts, 0)
    assert not np.allclose(whole, first)
    assert not np.allclose(first, second)


def test_a_segment_past_the_end_is_a_broken_video(parts: list[Video], recipe: Recipe, tmp_path: Path) -> None:
    late = [
        Video(f"late {split}", parts[0].file, "a", split, Segment(1.61, 2.0))  # type: ignore[arg-type]
        for split in ("train", "test")
    ]
    videos = [*parts, *late]
    with pytest.raises(DataError, match=r"(?s)cannot be read: 2\n.*late test: .*late train: .*starts at 1\.61 s"):
        extract(tmp_path / "store", videos, recipe=recipe, config=FeaturesConfig(views=2, workers=0))
    skip = FeaturesConfig(views=2, workers=0, on_broken_video="skip")
    assert extract(tmp_path / "store", videos, recipe=recipe, config=skip).keys() == {"late train", "late test"}
    source = StoredSource(tmp_path / "store", videos, recipe=recipe, config=skip)
    assert [video.key for video in source.view(videos[:5], 0).videos] == [video.key for video in parts]


def test_a_damaged_folder_of_frames_is_broken_and_a_changed_one_is_refused(
    parts: list[Video], recipe: Recipe, tmp_path: Path
) -> None:
    frames = parts[-1].path
    removed = (frames / "img_00004.png").read_bytes()
    (frames / "img_00004.png").unlink()
    config = FeaturesConfig(views=2, workers=0)
    with pytest.raises(DataError, match=r"frames: .*1 of its numbers from 0 to 9 are missing: 4"):
        extract(tmp_path / "store", parts, recipe=recipe, config=config)
    (frames / "img_00004.png").write_bytes(removed)  # mended, it is tried again
    assert extract(tmp_path / "store", parts, recipe=recipe, config=config) == {}
    with (frames / "img_00004.png").open("ab") as file:
        file.write(b"more")
    with pytest.raises(StoreError, match=r"videos that changed since .*\n  frames: \d+ bytes, it had \d+"):
        extract(tmp_path / "store", parts, recipe=recipe, config=config)
