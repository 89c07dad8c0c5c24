"""Decoding processes that die or hang, how far they run ahead, and batches that run across videos."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_encoder import FakeEncoder
from torch import Tensor

from essential.errors import DataError, StoreError
from essential.features import cores, pipeline
from essential.features.config import FeaturesConfig
from essential.features.cores import torch_threads
from essential.features.extract import extract
from essential.features.pipeline import ClipEncoder, read_each
from essential.features.provenance import Recipe
from essential.features.source import LiveSource, StoredSource, open_source
from essential.features.store import open_store
from essential.protocols.protocol import Video
from essential.video.views import ViewRequest, Views, read_views
from essential.video.worker_pool import in_flight

Content = Callable[[Path], dict[str, Any]]
KILLS, HANGS = "train/b/3.mp4", "test/a/2.mp4"
REASONS = {
    KILLS: "the process that read it died (signal 9), and so did a second one",
    HANGS: "reading it took longer than 2 seconds (features.video_seconds_limit)",
}


@pytest.fixture
def config() -> FeaturesConfig:
    """Return settings with two workers and a short limit."""
    return FeaturesConfig(shard_videos=3, workers=2, video_seconds_limit=2, on_broken_video="skip")


@pytest.fixture
def whole(tmp_path: Path, videos: list[Video], recipe: Recipe, config: FeaturesConfig) -> Path:
    """Return a store of all videos, made before anything goes wrong."""
    extract(tmp_path / "whole", videos, recipe=recipe, config=config)
    return tmp_path / "whole"


@pytest.fixture
def tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Let a training video kill its worker and a test video hang it; return what tells the videos that were tried."""
    folder = tmp_path / "tried"
    folder.mkdir()

    def faulty(video: Video, request: ViewRequest) -> Views:
        (folder / f"{video.key.replace('/', ':')}-{time.monotonic_ns()}").touch()
        if video.key == KILLS:
            os.kill(os.getpid(), signal.SIGKILL)
        if video.key == HANGS:
            time.sleep(600)
        return read_views(video, request)

    monkeypatch.setattr(pipeline, "read_views", faulty)
    return lambda: sorted(path.name.rpartition("-")[0].replace(":", "/") for path in folder.iterdir())


def test_skip_leaves_out_what_kills_or_hangs_and_nothing_else(
    tmp_path: Path, whole: Path, videos: list[Video], recipe: Recipe, config: FeaturesConfig, tried: Any
) -> None:
    assert extract(tmp_path / "store", videos, recipe=recipe, config=config) == REASONS
    assert tried() == sorted([*(video.key for video in videos), KILLS])
    good, made = (open_store(path, recipe.provenance()) for path in (whole, tmp_path / "store"))
    assert good.plan() == made.plan()
    for shard in made.plan():
        (expected, notes), (found, found_notes) = good.read(shard), made.read(shard)
        for row, key in enumerate(shard.keys):
            assert np.array_equal(found[row], np.zeros_like(found[row]) if key in REASONS else expected[row])
            assert found_notes.videos[row].broken == REASONS.get(key)
            assert key in REASONS or found_notes.videos[row] == notes.videos[row]
    source = StoredSource.open(tmp_path / "store", videos, recipe=recipe, config=config)
    assert source.skipped == REASONS
    # A run that skips them does not wait for them again.
    before = tried()
    assert extract(tmp_path / "store", videos, recipe=recipe, config=config) == REASONS
    assert tried() == before


def test_fail_names_them_and_tries_them_again_when_it_is_run_again(
    tmp_path: Path,
    whole: Path,
    videos: list[Video],
    recipe: Recipe,
    config: FeaturesConfig,
    tried: Any,
    content: Content,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fail = config.model_copy(update={"on_broken_video": "fail"})
    with pytest.raises(DataError, match="cannot be read: 2\n") as caught:
        extract(tmp_path / "store", videos, recipe=recipe, config=fail)
    for key, reason in REASONS.items():
        assert f"{key}: {reason}\n" in str(caught.value)
    monkeypatch.undo()
    assert extract(tmp_path / "store", videos, recipe=recipe, config=fail) == {}
    assert content(tmp_path / "store") == content(whole)
    assert tried() == sorted([*(video.key for video in videos), KILLS])


def test_a_worker_killed_once_changes_nothing(
    tmp_path: Path,
    whole: Path,
    videos: list[Video],
    recipe: Recipe,
    config: FeaturesConfig,
    content: Content,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def deadly(video: Video, request: ViewRequest) -> Views:
        clips = read_views(video, request)
        if video.key in REASONS and not (marker := tmp_path / video.path.name).exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return clips

    monkeypatch.setattr(pipeline, "read_views", deadly)
    assert extract(tmp_path / "store", videos, recipe=recipe, config=config) == {}
    assert content(tmp_path / "store") == content(whole)


def test_live_features_leave_out_the_same_videos(
    videos: list[Video], recipe: Recipe, config: FeaturesConfig, tried: Any
) -> None:
    assert tried() == []
    live = open_source(config.model_copy(update={"mode": "live"}), videos, recipe=recipe, store=Path("unused"))
    assert isinstance(live, LiveSource)
    assert live.skipped == REASONS
    table = live.view(videos, 0)
    assert [video.key for video in table.videos] == [video.key for video in videos if video.key not in REASONS]


def test_workers_run_ahead_but_only_so_far(
    tmp_path: Path, videos: list[Video], recipe: Recipe, config: FeaturesConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def noted(video: Video, request: ViewRequest) -> Views:
        clips = read_views(video, request)
        (tmp_path / f"read-{video.path.parent.parent.name}-{video.path.name}").touch()
        return clips

    monkeypatch.setattr(pipeline, "read_views", noted)
    ahead = []

    items = [(video, recipe.request((0, 1))) for video in videos]
    for place, read in read_each(items, widest=items, longest=len(items), config=config, workers=2):
        assert read.clips is not None
        assert torch.equal(read.clips, read_views(videos[place], recipe.request((0, 1))).clips)
        while place == 0 and len(list(tmp_path.glob("read-*"))) < 2:  # on a busy machine they are slow to begin
            time.sleep(0.01)
        time.sleep(0.05)
        ahead.append(len(list(tmp_path.glob("read-*"))) - len(ahead))
    assert len(ahead) == len(videos)
    assert 1 < max(ahead) <= in_flight(2)


@pytest.mark.parametrize(("given", "expected"), [(None, [3, 2, 1]), (6, [6, 6, 6])])
def test_workers_of_large_clips_are_few_unless_it_is_said_how_many(
    videos: list[Video], recipe: Recipe, monkeypatch: pytest.MonkeyPatch, given: int | None, expected: list[int]
) -> None:
    begun = []
    monkeypatch.setattr(pipeline, "reading", lambda *_, workers, **__: iter([begun.append(workers)][:0]))
    request, size = recipe.request((0, 1)), recipe.encoder.pixel_format.size
    # Each worker has two videos of two views under way, and one more is in use.
    video_bytes = 2 * request.frames * 3 * size**2 * 4
    for room in ((3 * 2 + 1) * video_bytes, (3 * 2 + 1) * video_bytes - 1, 1):
        monkeypatch.setattr(pipeline, "_MOST_BYTES", room)
        items, config = [(video, request) for video in videos], FeaturesConfig(workers=given)
        assert list(read_each(items, widest=items, longest=len(items), config=config, workers=given or 8)) == []
    assert begun == expected


@pytest.mark.parametrize(("room", "expected"), [(21, (4, 4)), (20, (4, 3)), (9, (4, 1)), (8, (3, 1)), (1, (1, 1))])
def test_large_clips_of_a_server_are_fetched_less_far_ahead_before_workers_are_fewer(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch, room: int, expected: tuple[int, int]
) -> None:
    asked = []

    def reading(*_: object, workers: int, ahead: int, **__: object) -> Iterator[None]:
        asked.append((workers, ahead))
        return iter(())

    monkeypatch.setattr(pipeline, "reading", reading)
    request = recipe.request((0,))
    monkeypatch.setattr(pipeline, "_MOST_BYTES", room * request.frames * 3 * recipe.encoder.pixel_format.size**2 * 4)
    items = [(Video(f"{name}.mp4", f"s3://bucket/{name}.mp4", "a", "train"), request) for name in "abcdefgh"]
    assert list(read_each(items, widest=items, longest=8, config=FeaturesConfig(), workers=4)) == []
    assert asked == [expected]


def test_workers_of_a_process_with_threads_do_not_wait_for_them(
    tmp_path: Path,
    videos: list[Video],
    change: Callable[..., Recipe],
    config: FeaturesConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = change(encoder=FakeEncoder(size=96))
    # Heavy enough for all cores.
    monkeypatch.setattr(cores, "cpu_cores", lambda: 2)
    monkeypatch.setattr(cores, "clip_operations", lambda *_: 10**12)
    patient = config.model_copy(update={"video_seconds_limit": 20.0})
    with torch_threads(2):
        torch.zeros(10**6).exp_()  # starts the second thread
        assert extract(tmp_path / "store", videos[:2], recipe=recipe, config=patient) == {}


@pytest.mark.slow
def test_workers_may_be_spawned(
    tmp_path: Path, whole: Path, videos: list[Video], recipe: Recipe, config: FeaturesConfig, content: Content
) -> None:
    spawned = config.model_copy(update={"worker_start": "spawn", "workers": 1, "video_seconds_limit": 60.0})
    extract(tmp_path / "store", videos, recipe=recipe, config=spawned)
    assert content(tmp_path / "store") == content(whole)


@pytest.mark.numeric
def test_batches_on_their_way_while_the_next_is_filled_keep_their_order(recipe: Recipe) -> None:
    draw = torch.Generator().manual_seed(1)
    clips = [torch.randn(count, 3, 3, 16, 16, generator=draw) for count in (1, 3, 1, 1, 4, 2, 1)]
    batches = ClipEncoder(recipe.encoder, frames=3, batch_clips=2, precision="float32")
    # As on a GPU.
    batches._buffers.append(torch.zeros_like(batches._buffers[0]))
    seen = []
    for place, video in enumerate(clips):
        seen += list(batches.add(place, video))
    assert len(seen) < len(clips)
    seen += list(batches.finish())
    assert [place for place, _ in seen] == list(range(len(clips)))
    for (_, features), video in zip(seen, clips, strict=True):
        assert np.allclose(features, recipe.encoder(video).numpy(), rtol=1e-6, atol=1e-6)


class Pixels(FakeEncoder):
    """Gives the pixels themselves, in the same memory."""

    def encode(self, clips: Tensor) -> Tensor:
        return clips.flatten(2)


def test_features_that_are_the_pixels_are_those_of_their_own_clip() -> None:
    clips = torch.arange(3.0).view(3, 1, 1, 1, 1).expand(3, 2, 3, 16, 16)
    encoder = ClipEncoder(Pixels(), frames=2, batch_clips=1, precision="float32")
    ((_, features),) = [*encoder.add(0, clips), *encoder.finish()]
    assert np.array_equal(features, clips.flatten(3).squeeze(1).flatten(2).reshape(features.shape))


@pytest.mark.numeric
@pytest.mark.parametrize("batch_clips", [4, 7, 64])
def test_batches_across_videos_give_the_features_of_one_clip_at_a_time(
    tmp_path: Path,
    whole: Path,
    videos: list[Video],
    recipe: Recipe,
    config: FeaturesConfig,
    batch_clips: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shapes = []
    encode = recipe.encoder.encode

    def noted(clips: Tensor) -> Tensor:
        shapes.append(tuple(clips.shape))
        return encode(clips)

    monkeypatch.setattr(recipe.encoder, "encode", noted)
    batched = config.model_copy(update={"batch_clips": batch_clips, "workers": 0})
    extract(tmp_path / "store", videos, recipe=recipe, config=batched)
    clips = sum(3 if video.split == "train" else 1 for video in videos)
    # Without workers nothing is shared, so no clip is encoded to count the operations.
    assert shapes == [(batch_clips, 3, 3, 16, 16)] * -(-clips // batch_clips)
    good, made = (open_store(path, recipe.provenance()) for path in (whole, tmp_path / "store"))
    for shard in good.plan():
        assert np.allclose(made.read(shard)[0], good.read(shard)[0], rtol=1e-6, atol=1e-6)
        assert made.layout_and_note(shard)[1] == good.layout_and_note(shard)[1]


def test_half_precision_is_part_of_what_made_the_store(
    whole: Path, videos: list[Video], change: Callable[..., Recipe], config: FeaturesConfig
) -> None:
    recipe = change(precision="bfloat16")
    with pytest.raises(StoreError, match="precision: nothing in the store, bfloat16 wanted"):
        extract(whole, videos, recipe=recipe, config=config)
    half = whole.with_name("half")
    extract(half, videos, recipe=recipe, config=config)
    full, made = open_store(whole, change().provenance()), open_store(half, recipe.provenance())
    for shard in made.plan():
        difference = np.abs(made.read(shard)[0] - full.read(shard)[0]).max()
        assert 1e-4 < difference < 0.05 * np.abs(full.read(shard)[0]).max()
