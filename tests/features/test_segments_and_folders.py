"""Segments, folders of frames and whole files go into one store, and come out as they are live."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from essential.errors import DataError, StoreError
from essential.features import pipeline
from essential.features.config import FeaturesConfig
from essential.features.extract import extract
from essential.features.provenance import Recipe
from essential.features.source import open_source
from essential.features.store import open_store
from essential.protocols.protocol import Segment, Video
from essential.video.decode import read_frames
from essential.video.frame_folder import identity_of
from essential.video.views import Views
from video_files import write_frame_folder

FOLDER, FILE = "train/frames", "train/a/6.mp4"
PARTS = (Segment(0.0, 0.5), Segment(0.3, 99.0), Segment(0.0, 0.0))


@pytest.fixture
def mixed(root: Path, videos: list[Video]) -> list[Video]:
    """Return whole files, three segments of one of them (11 frames, 10 a second), and a folder of frames."""
    file = next(video for video in videos if video.key == FILE)
    parts = [file._replace(key=f"{FILE}@{part.start_seconds}-{part.end_seconds}", segment=part) for part in PARTS]
    write_frame_folder(root / FOLDER, np.random.default_rng(3).integers(0, 256, (6, 24, 32, 3), np.uint8))
    return [*videos, *parts, Video(FOLDER, str(root / FOLDER), "b", "train")]


def past_the_end(video: Video, start: float) -> Video:
    """Return a segment of a video that starts after it."""
    return video._replace(key=f"{video.key}@{start}", segment=Segment(start, start + 1))


def test_stored_equals_live_to_the_last_bit(
    tmp_path: Path, mixed: list[Video], recipe: Recipe, config: FeaturesConfig
) -> None:
    sources = [
        open_source(config.model_copy(update={"mode": mode}), mixed, recipe=recipe, store=tmp_path / "store")
        for mode in ("stored", "live")
    ]
    training = [video for video in mixed if video.split == "train"]
    for asked, view in [(mixed, 0), (training, 1), (training, 2)]:
        stored, live = (source.view(asked, view) for source in sources)
        rows = torch.arange(len(asked))
        assert stored.videos == live.videos == tuple(asked)
        assert torch.equal(stored.rows(rows), live.rows(rows))


def test_features_are_those_of_the_segments_frames(
    tmp_path: Path, mixed: list[Video], recipe: Recipe, config: FeaturesConfig
) -> None:
    """The plain view of each segment, from frames that were read without any segment."""
    source = open_source(config, mixed, recipe=recipe, store=tmp_path / "store")
    parts = [video for video in mixed if video.segment]
    features = source.view(parts, 0).rows(torch.arange(3))
    images = read_frames(parts[0].path, range).frames
    assert len(images) == 11
    for row, numbers in zip(features, [[0, 2, 4], [4, 7, 9], [0, 0, 0]], strict=True):
        folder = write_frame_folder(tmp_path / f"{numbers}", images[numbers], name="{}.png")
        video = Video(str(numbers), str(folder), "a", "test")
        alone = open_source(
            config.model_copy(update={"mode": "live"}), [video], recipe=recipe, store=tmp_path / "unused"
        )
        assert torch.equal(alone.view([video], 0).rows(torch.arange(1))[0], row)


def test_two_workers_give_the_bytes_of_none(
    tmp_path: Path,
    mixed: list[Video],
    recipe: Recipe,
    config: FeaturesConfig,
    content: Callable[[Path], dict[str, Any]],
) -> None:
    for workers in (0, 2):
        extract(tmp_path / f"{workers}", mixed, recipe=recipe, config=config.model_copy(update={"workers": workers}))
    assert content(tmp_path / "0") == content(tmp_path / "2")


def test_notes_hold_what_each_video_is_made_of(
    tmp_path: Path, mixed: list[Video], recipe: Recipe, config: FeaturesConfig
) -> None:
    extract(tmp_path / "store", mixed, recipe=recipe, config=config)
    store = open_store(tmp_path / "store", recipe.provenance())
    notes = {(s.split, note.key): note for s in store.plan() for note in store.layout_and_note(s)[1].videos}
    assert len(notes) == len(mixed)
    for video in mixed:
        note = notes[video.split, video.key]
        assert (note.size_bytes, note.sha256) == identity_of(video.path)


def test_segments_past_the_end_fail_each_by_its_key(
    tmp_path: Path, root: Path, mixed: list[Video], recipe: Recipe, config: FeaturesConfig
) -> None:
    file = next(video for video in mixed if video.key == FILE)
    late = [past_the_end(file, 1.1), past_the_end(file, 50.0)]
    with pytest.raises(DataError, match=r"cannot be read: 2\n(.*\n)*.*on_broken_video=skip") as caught:
        extract(tmp_path / "store", [*mixed, *late], recipe=recipe, config=config)
    for video, start in zip(late, (1.1, 50.0), strict=True):
        line = next(line for line in str(caught.value).splitlines() if line.strip().startswith(f"{video.key}: "))
        assert f"starts at {start} s, the video ends at 1.100 s" in line
    assert str(root) not in str(caught.value)


@pytest.mark.parametrize("mode", ["stored", "live"])
def test_skip_leaves_out_what_is_broken_and_keeps_its_file(
    tmp_path: Path, root: Path, mixed: list[Video], recipe: Recipe, config: FeaturesConfig, mode: str
) -> None:
    file = next(video for video in mixed if video.key == FILE)
    frames = next(video for video in mixed if video.key == FOLDER)
    broken = [
        past_the_end(file, 1.1),
        past_the_end(file, 2.0),
        past_the_end(frames, 0.1),
        Video("train/gone", str(root / "train/gone"), "a", "train"),
    ]
    skip = config.model_copy(update={"mode": mode, "on_broken_video": "skip"})
    source = open_source(skip, [*mixed, *broken], recipe=recipe, store=tmp_path / "store")
    assert source.skipped.keys() == {video.key for video in broken}
    assert source.skipped["train/gone"] == "there is no such file"
    assert "put the video file in its place" in source.skipped[broken[2].key]
    assert source.view([*broken, *mixed], 0).videos == tuple(mixed)


def test_a_repaired_folder_alone_is_computed_again(
    tmp_path: Path,
    root: Path,
    mixed: list[Video],
    recipe: Recipe,
    config: FeaturesConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image = root / FOLDER / "img_00003.jpg"
    whole = image.read_bytes()
    image.write_bytes(bytes(len(whole)))
    with pytest.raises(DataError, match=r"train/frames: .*img_00003\.jpg cannot be decoded"):
        extract(tmp_path / "store", mixed, recipe=recipe, config=config)
    image.write_bytes(whole)
    read = []
    read_views = pipeline.read_views

    def noted(video: Video, request: Any) -> Views:
        read.append(video.key)
        return read_views(video, request)

    monkeypatch.setattr(pipeline, "read_views", noted)
    assert extract(tmp_path / "store", mixed, recipe=recipe, config=config) == {}
    assert read == [FOLDER]


def test_a_changed_file_is_named_for_each_of_its_segments_and_a_folder_too(
    tmp_path: Path, root: Path, mixed: list[Video], recipe: Recipe, config: FeaturesConfig
) -> None:
    extract(tmp_path / "store", mixed, recipe=recipe, config=config)
    size = (root / FILE).stat().st_size
    with (root / FILE).open("ab") as file:
        file.write(b"more")
    shutil.copy(root / FOLDER / "img_00001.jpg", root / FOLDER / "img_00007.jpg")
    with pytest.raises(StoreError, match=r"since the feature store .* was made: 5\n") as caught:
        extract(tmp_path / "store", mixed, recipe=recipe, config=config)
    assert str(caught.value).count(f": {size + 4} bytes, it had {size} ") == 4
    assert f"{FOLDER}: " in str(caught.value)
    shutil.rmtree(root)
    assert extract(tmp_path / "store", mixed, recipe=recipe, config=config) == {}
