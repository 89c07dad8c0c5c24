"""Extraction: what is computed, what a kill costs, and that the same bytes come out whatever happened in between."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from essential.errors import ConfigError, DataError, FileSystemError, RunError, StoreError, VideoError
from essential.features import pipeline
from essential.features.config import FeaturesConfig
from essential.features.extract import extract
from essential.features.provenance import Recipe
from essential.features.store import open_store
from essential.files.atomic import folder_lock
from essential.protocols.protocol import Video
from essential.video.views import ViewRequest, Views, read_views
from seen_progress import SeenProgress

Content = Callable[[Path], dict[str, Any]]
SHARDS = 3 + 2


def shard_files(store: Path) -> list[Path]:
    return sorted((store / "shards").glob("*.safetensors"))


@pytest.fixture
def whole(tmp_path: Path, videos: list[Video], recipe: Recipe, config: FeaturesConfig) -> Path:
    """Return a store of all videos, made in one go."""
    extract(tmp_path / "whole", videos, recipe=recipe, config=config)
    assert len(shard_files(tmp_path / "whole")) == SHARDS
    return tmp_path / "whole"


def test_features_are_those_of_each_view_encoded_alone(whole: Path, videos: list[Video], recipe: Recipe) -> None:
    store = open_store(whole, recipe.provenance())
    by_id = {(video.split, video.key): video for video in videos}
    seen = 0
    for shard in store.plan():
        features, note = store.read(shard)
        views = (0, 1, 2) if shard.split == "train" else (0,)
        for row, key in enumerate(shard.keys):
            video = by_id[shard.split, key]
            clips = read_views(video, recipe.request(views)).clips
            assert np.array_equal(features[row], torch.cat([recipe.encoder(clip[None]) for clip in clips]).numpy())
            assert note.videos[row].size_bytes == video.path.stat().st_size
            assert note.videos[row].broken is None
            seen += 1
    assert seen == len(videos)


def test_views_of_a_training_video_differ(whole: Path, recipe: Recipe) -> None:
    store = open_store(whole, recipe.provenance())
    features, _ = store.read(store.plan()[0])
    assert features.shape == (3, 3, 3, 6)
    for one, other in [(0, 1), (0, 2), (1, 2)]:
        assert not np.allclose(features[:, one], features[:, other])


def test_running_again_computes_nothing(
    whole: Path, videos: list[Video], recipe: Recipe, config: FeaturesConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "read_views", None)
    assert extract(whole, videos, recipe=recipe, config=config) == {}


def test_a_finished_store_in_a_read_only_folder_serves_without_its_videos(
    whole: Path, videos: list[Video], recipe: Recipe, config: FeaturesConfig, root: Path
) -> None:
    shutil.rmtree(root)
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*")}
    assert extract(whole, videos, recipe=recipe, config=config) == {}
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*")} == before


def test_lost_shards_come_back_byte_for_byte(
    whole: Path, videos: list[Video], recipe: Recipe, config: FeaturesConfig, content: Content
) -> None:
    before = content(whole)
    for path in shard_files(whole)[::2]:
        path.unlink()
    extract(whole, videos[::-1], recipe=recipe, config=config)
    assert content(whole) == before


def test_two_workers_give_the_bytes_of_none(
    whole: Path, videos: list[Video], recipe: Recipe, config: FeaturesConfig, content: Content
) -> None:
    other = whole.with_name("other")
    extract(other, videos, recipe=recipe, config=config.model_copy(update={"workers": 2}))
    assert content(other) == content(whole)


def test_parts_together_give_the_bytes_of_one_job(
    whole: Path, videos: list[Video], recipe: Recipe, config: FeaturesConfig, content: Content
) -> None:
    other = whole.with_name("other")
    counts = []
    for part in [(2, 3), (0, 3), (1, 3)]:
        extract(other, videos, recipe=recipe, config=config, part=part)
        counts.append(len(shard_files(other)))
    assert counts == [1, 3, 5]
    assert content(other) == content(whole)


@pytest.mark.parametrize("part", [(3, 3), (-1, 2), (0, 0)])
def test_a_part_that_does_not_exist_is_refused(
    tmp_path: Path, recipe: Recipe, config: FeaturesConfig, part: tuple[int, int]
) -> None:
    with pytest.raises(ConfigError, match=f"shard {part[0]}/{part[1]}"):
        extract(tmp_path / "store", [], recipe=recipe, config=config, part=part)


def test_no_videos_is_no_work(tmp_path: Path, recipe: Recipe, config: FeaturesConfig) -> None:
    assert extract(tmp_path / "store", [], recipe=recipe, config=config) == {}


def test_videos_asked_for_later_get_new_shards(
    tmp_path: Path, videos: list[Video], recipe: Recipe, config: FeaturesConfig
) -> None:
    extract(tmp_path / "store", videos[:5], recipe=recipe, config=config)
    early = {path: path.stat().st_mtime_ns for path in shard_files(tmp_path / "store")}
    extract(tmp_path / "store", videos, recipe=recipe, config=config)
    assert all(path.stat().st_mtime_ns == time for path, time in early.items())
    store = open_store(tmp_path / "store", recipe.provenance())
    planned = [(shard.split, key) for shard in store.plan() for key in shard.keys]
    assert sorted(planned) == sorted((video.split, video.key) for video in videos)


def test_progress_counts_every_video_and_starts_where_the_last_run_ended(
    whole: Path, videos: list[Video], recipe: Recipe, config: FeaturesConfig
) -> None:
    lost = next(path for path in shard_files(whole) if "train-00001" in path.name)
    lost.unlink()
    seen = SeenProgress()
    extract(whole, videos, recipe=recipe, config=config, progress=seen)
    assert seen.steps == [(8, 11), (9, 11), (10, 11), (11, 11)]
    extract(whole, videos, recipe=recipe, config=config, progress=seen)
    assert seen.steps[4:] == [(11, 11)]


def test_kill_in_the_middle_then_run_again(
    whole: Path,
    videos: list[Video],
    recipe: Recipe,
    config: FeaturesConfig,
    content: Content,
    child_environment: dict[str, str],
) -> None:
    other = whole.with_name("killed")
    script = f"""
import os, signal
from pathlib import Path
from fake_encoder import FakeEncoder
from essential.features.config import FeaturesConfig
from essential.features.extract import extract
from essential.features.provenance import build_recipe
from essential.progress import Progress
from essential.protocols.protocol import Video
from essential.video.config import AugmentConfig

class Kills(Progress):
    def advance(self, done, note="", *, total=None):
        if done == 5:
            os.kill(os.getpid(), signal.SIGKILL)

recipe = build_recipe(FeaturesConfig(views=2), FakeEncoder(), augment=AugmentConfig(), frames=3, seed=5)
videos = [Video(*values) for values in {[(v.key, str(v.path), v.label, v.split) for v in videos]!r}]
config = FeaturesConfig(shard_videos=3, workers=2)
extract(Path({str(other)!r}), videos, recipe=recipe, config=config, progress=Kills())
"""
    ended = subprocess.run([sys.executable, "-c", script], env=child_environment, capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    assert 0 < len(shard_files(other)) < len(shard_files(whole))
    extract(other, videos, recipe=recipe, config=config)
    assert content(other) == content(whole)


def test_the_same_part_twice_at_once_is_refused(
    tmp_path: Path, videos: list[Video], recipe: Recipe, config: FeaturesConfig
) -> None:
    store = tmp_path / "store"
    with folder_lock(store, name=".lock-0-of-1"), pytest.raises(RunError, match=f"in use by process {os.getpid()}"):
        extract(store, videos, recipe=recipe, config=config)
    with folder_lock(store, name=".lock-0-of-2"):
        extract(store, videos, recipe=recipe, config=config, part=(1, 2))


def test_an_error_in_a_worker_that_is_no_broken_video_comes_through(
    tmp_path: Path, videos: list[Video], recipe: Recipe, config: FeaturesConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(*_: object) -> Views:
        raise RuntimeError("a bug")

    monkeypatch.setattr(pipeline, "read_views", faulty)
    with pytest.raises(RuntimeError, match="a bug"):
        extract(tmp_path / "store", videos, recipe=recipe, config=config.model_copy(update={"workers": 1}))


def test_features_too_large_for_float16_are_refused(
    tmp_path: Path, videos: list[Video], change: Callable[..., Recipe], config: FeaturesConfig
) -> None:
    recipe = change(dtype="float16")
    for matrix in recipe.encoder.parameters():
        matrix.data *= 1e6
    with pytest.raises(DataError, match=r"train/a/0\.mp4 that are not finite as float16"):
        extract(tmp_path / "store", videos, recipe=recipe, config=config)


def test_a_store_that_cannot_be_written_is_one_clear_error(
    tmp_path: Path, videos: list[Video], recipe: Recipe, config: FeaturesConfig
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FileSystemError, match="file, not a folder"):
        extract(tmp_path / "file" / "store", videos, recipe=recipe, config=config)


class TestBrokenVideos:
    @pytest.fixture
    def broken(self, root: Path) -> dict[str, str]:
        """Break three videos; return what the reason must hold, by key."""
        (root / "train/a/2.mp4").write_bytes(b"no video at all, but some bytes")
        (root / "train/b/5.mp4").unlink()
        (root / "test/b/1.mp4").write_bytes(b"")
        return {"train/a/2.mp4": "not a video", "train/b/5.mp4": "no such file", "test/b/1.mp4": "it is empty"}

    def test_fail_names_every_one_and_loses_nothing(
        self, tmp_path: Path, videos: list[Video], recipe: Recipe, config: FeaturesConfig, broken: dict[str, str]
    ) -> None:
        with pytest.raises(DataError, match=r"cannot be read: 3\n(.*\n)*.*on_broken_video=skip") as caught:
            extract(tmp_path / "store", videos, recipe=recipe, config=config)
        for key, reason in broken.items():
            line = next(line for line in str(caught.value).splitlines() if line.strip().startswith(f"{key}: "))
            assert reason in line
        assert str(tmp_path) not in str(caught.value)
        assert len(shard_files(tmp_path / "store")) == SHARDS

    def test_skip_reports_them_for_both_splits_and_keeps_zeros(
        self, tmp_path: Path, videos: list[Video], recipe: Recipe, config: FeaturesConfig, broken: dict[str, str]
    ) -> None:
        skip = config.model_copy(update={"on_broken_video": "skip"})
        reasons = extract(tmp_path / "store", videos, recipe=recipe, config=skip)
        assert reasons.keys() == broken.keys()
        store = open_store(tmp_path / "store", recipe.provenance())
        zeros = {key for s in store.plan() for key, row in zip(s.keys, store.read(s)[0], strict=True) if not row.any()}
        assert zeros == broken.keys()

    def test_still_broken_fails_again_without_decoding(
        self,
        tmp_path: Path,
        videos: list[Video],
        recipe: Recipe,
        config: FeaturesConfig,
        broken: dict[str, str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        assert len(broken) == 3
        for _ in range(2):
            with pytest.raises(DataError, match="cannot be read: 3"):
                extract(tmp_path / "store", videos, recipe=recipe, config=config)
            monkeypatch.setattr(pipeline, "read_views", None)

    def test_repaired_videos_alone_are_computed_and_give_the_bytes_of_a_clean_run(
        self,
        tmp_path: Path,
        videos: list[Video],
        recipe: Recipe,
        config: FeaturesConfig,
        broken: dict[str, str],
        recorded: Path,
        root: Path,
        content: Content,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        with pytest.raises(DataError, match="cannot be read: 3"):
            extract(tmp_path / "store", videos, recipe=recipe, config=config)
        for key in broken:
            shutil.copy(recorded / key, root / key)
        read = []

        def noted(video: Video, request: ViewRequest) -> Views:
            read.append(video.key)
            return read_views(video, request)

        monkeypatch.setattr(pipeline, "read_views", noted)
        assert extract(tmp_path / "store", videos, recipe=recipe, config=config) == {}
        assert sorted(read) == sorted(broken)
        monkeypatch.undo()
        extract(tmp_path / "clean", videos, recipe=recipe, config=config)
        assert content(tmp_path / "store") == content(tmp_path / "clean")

    def test_a_repair_of_the_same_size_is_noticed(
        self, tmp_path: Path, videos: list[Video], recipe: Recipe, config: FeaturesConfig, recorded: Path, root: Path
    ) -> None:
        good = (recorded / "test/a/0.mp4").read_bytes()
        (root / "test/a/0.mp4").write_bytes(bytes(len(good)))
        with pytest.raises(DataError, match=r"test/a/0\.mp4"):
            extract(tmp_path / "store", videos, recipe=recipe, config=config)
        (root / "test/a/0.mp4").write_bytes(good)
        assert extract(tmp_path / "store", videos, recipe=recipe, config=config) == {}

    def test_an_unreadable_file_and_a_decoder_error_are_told_the_same_way(
        self,
        tmp_path: Path,
        videos: list[Video],
        recipe: Recipe,
        config: FeaturesConfig,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def failing(video: Video, request: ViewRequest) -> Views:
            if video.split == "test":
                raise PermissionError(13, "Permission denied", str(video.path))
            if video.key == "train/a/0.mp4":
                raise VideoError("no frame could be decoded", where=video.path)
            return read_views(video, request)

        monkeypatch.setattr(pipeline, "read_views", failing)
        skip = config.model_copy(update={"on_broken_video": "skip"})
        reasons = extract(tmp_path / "store", videos, recipe=recipe, config=skip)
        assert len(reasons) == 5
        assert reasons["train/a/0.mp4"] == "no frame could be decoded"
        assert reasons["test/a/0.mp4"] == "Permission denied"


def test_a_changed_video_is_named(
    whole: Path, videos: list[Video], recipe: Recipe, config: FeaturesConfig, root: Path
) -> None:
    with (root / "train/b/1.mp4").open("ab") as file:
        file.write(b"more")
    size = (root / "train/b/1.mp4").stat().st_size
    with pytest.raises(StoreError, match=rf"train/b/1\.mp4: {size} bytes, it had {size - 4} \(shard train-0000"):
        extract(whole, videos, recipe=recipe, config=config)
