"""Sources: stored and live features are the same numbers, and tables are plain indexing."""

import errno
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from essential.errors import DataError, StoreError
from essential.features import tables
from essential.features.config import FeaturesConfig
from essential.features.extract import extract
from essential.features.provenance import Recipe
from essential.features.source import FeatureSource, LiveSource, StoredSource, open_source
from essential.features.tables import FrameTable
from essential.protocols.protocol import Video
from essential.video.views import read_views

EPOCHS = 2


@pytest.fixture(params=["stored", "live"])
def source(
    request: pytest.FixtureRequest, tmp_path: Path, videos: list[Video], recipe: Recipe, config: FeaturesConfig
) -> FeatureSource:
    """Return a source of each kind."""
    return open_source(
        config.model_copy(update={"mode": request.param}), videos, recipe=recipe, store=tmp_path / "store"
    )


def training(videos: list[Video]) -> list[Video]:
    return [video for video in videos if video.split == "train"]


def everything(table: FrameTable) -> torch.Tensor:
    return table.rows(torch.arange(len(table)))


def test_rows_equal_brute_force_indexing(source: FeatureSource, videos: list[Video], recipe: Recipe) -> None:
    asked = training(videos)[::-1]
    table = source.view(asked, 1)
    clips = [recipe.encoder(read_views(video, recipe.request((1,))).clips)[0] for video in asked]
    for indices in ([0], [3, 1, 1, 6, 0], list(range(len(asked))), []):
        rows = table.rows(torch.tensor(indices, dtype=torch.int64))
        assert rows.dtype == torch.float32
        assert rows.shape == (len(indices), source.frames, source.dim)
        for row, index in zip(rows, indices, strict=True):
            assert torch.equal(row, clips[index])
    assert table.videos == tuple(asked)
    assert len(table) == len(asked)


def test_an_index_beyond_the_table_is_an_error(source: FeatureSource, videos: list[Video]) -> None:
    with pytest.raises(IndexError, match=r"\b11\b"):
        source.view(videos, 0).rows(torch.tensor([11]))


def test_rows_may_be_written_to_without_touching_the_table(source: FeatureSource, videos: list[Video]) -> None:
    table = source.view(videos, 0)
    before = everything(table).clone()
    everything(table).zero_()
    assert torch.equal(everything(table), before)


def test_a_table_over_no_videos(source: FeatureSource) -> None:
    table = source.view([], 0)
    assert len(table) == 0
    assert table.videos == ()
    assert everything(table).shape == (0, source.frames, source.dim)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_stored_with_a_view_per_epoch_gives_exactly_the_live_numbers(
    tmp_path: Path, videos: list[Video], change: Callable[..., Recipe], config: FeaturesConfig, dtype: str
) -> None:
    recipe = change(views=EPOCHS, dtype=dtype)
    both = [
        open_source(config.model_copy(update={"mode": mode}), videos, recipe=recipe, store=tmp_path / "store")
        for mode in ("stored", "live")
    ]
    seen = []
    for epoch in range(EPOCHS):
        stored, live = (everything(source.view(training(videos), source.training_view(epoch))) for source in both)
        assert torch.equal(stored, live)
        seen.append(stored)
    assert not torch.allclose(seen[0], seen[1])
    assert torch.equal(*(everything(source.view(videos, 0)) for source in both))


def test_training_views_take_turns(tmp_path: Path, change: Callable[..., Recipe], config: FeaturesConfig) -> None:
    def stored(views: int) -> FeatureSource:
        return open_source(config, [], recipe=change(views=views), store=tmp_path / str(views))

    assert [stored(3).training_view(epoch) for epoch in range(7)] == [1, 2, 3, 1, 2, 3, 1]
    assert [stored(0).training_view(epoch) for epoch in range(3)] == [0, 0, 0]
    live = LiveSource([], recipe=change(views=0), config=config)
    assert [live.training_view(epoch) for epoch in range(3)] == [1, 2, 3]

    config = config.model_copy(update={"train_on": "both", "views": 2})
    assert [stored(3).training_view(epoch) for epoch in range(9)] == [0, 1, 2, 3, 0, 1, 2, 3, 0]
    assert [stored(0).training_view(epoch) for epoch in range(3)] == [0, 0, 0]
    live = LiveSource([], recipe=change(views=0), config=config)
    assert [live.training_view(epoch) for epoch in range(8)] == [0, 1, 2, 0, 4, 5, 0, 7]


def test_live_features_do_not_depend_on_the_workers(videos: list[Video], recipe: Recipe) -> None:
    configs = [FeaturesConfig(workers=workers) for workers in (0, 2)]
    tables = [LiveSource(videos, recipe=recipe, config=config).view(videos, 3) for config in configs]
    assert torch.equal(everything(tables[0]), everything(tables[1]))


def test_skipped_videos_are_left_out_and_named(
    tmp_path: Path, videos: list[Video], recipe: Recipe, config: FeaturesConfig, root: Path
) -> None:
    (root / "train/a/2.mp4").write_bytes(b"no video")
    (root / "test/a/0.mp4").write_bytes(b"")
    skip = config.model_copy(update={"on_broken_video": "skip"})
    found = []
    for mode in ("stored", "live"):
        chosen = skip.model_copy(update={"mode": mode})
        source = open_source(chosen, videos, recipe=recipe, store=tmp_path / "store")
        table = source.view(videos, 0)
        assert [video.key for video in table.videos] == [v.key for v in videos if v.key not in source.skipped]
        found.append((source.skipped, everything(table)))
    assert found[0][0] == found[1][0]
    assert found[0][0].keys() == {"train/a/2.mp4", "test/a/0.mp4"}
    assert torch.equal(found[0][1], found[1][1])


@pytest.mark.parametrize("mode", ["stored", "live"])
def test_broken_videos_fail_before_any_training(
    tmp_path: Path, videos: list[Video], recipe: Recipe, config: FeaturesConfig, root: Path, mode: str
) -> None:
    (root / "train/a/2.mp4").write_bytes(b"no video")
    (root / "test/a/0.mp4").write_bytes(b"")
    with pytest.raises(DataError, match=r"cannot be read: 2\n  test/a/0\.mp4: .*\n  train/a/2\.mp4: "):
        open_source(config.model_copy(update={"mode": mode}), videos, recipe=recipe, store=tmp_path / "store")


def test_a_store_that_skipped_is_refused_under_fail(
    tmp_path: Path, videos: list[Video], recipe: Recipe, config: FeaturesConfig, root: Path
) -> None:
    (root / "train/a/2.mp4").write_bytes(b"no video")
    skip = config.model_copy(update={"on_broken_video": "skip"})
    extract(tmp_path / "store", videos, recipe=recipe, config=skip)
    with pytest.raises(DataError, match=r"train/a/2\.mp4"):
        StoredSource.open(tmp_path / "store", videos, recipe=recipe, config=config)
    others = [video for video in videos if video.key != "train/a/2.mp4"]
    assert StoredSource.open(tmp_path / "store", others, recipe=recipe, config=config).skipped == {}


def test_the_videos_may_be_deleted_after_extraction(
    tmp_path: Path, videos: list[Video], recipe: Recipe, config: FeaturesConfig, root: Path
) -> None:
    first = everything(open_source(config, videos, recipe=recipe, store=tmp_path / "store").view(videos, 0))
    shutil.rmtree(root)
    again = open_source(config, videos, recipe=recipe, store=tmp_path / "store")
    assert torch.equal(everything(again.view(videos, 0)), first)


def test_a_store_that_lacks_videos_is_one_clear_error(
    tmp_path: Path, videos: list[Video], recipe: Recipe, config: FeaturesConfig
) -> None:
    extract(tmp_path / "store", videos, recipe=recipe, config=config, part=(0, 2))
    with pytest.raises(StoreError, match=r"lacks 6 of 11 videos, for example test/a/0\.mp4"):
        StoredSource.open(tmp_path / "store", videos, recipe=recipe, config=config)


def test_a_changed_video_is_refused_on_opening(
    tmp_path: Path, videos: list[Video], recipe: Recipe, config: FeaturesConfig, root: Path
) -> None:
    extract(tmp_path / "store", videos, recipe=recipe, config=config)
    (root / "test/b/3.mp4").write_bytes(b"12345")
    with pytest.raises(StoreError, match=r"made: 1\n  test/b/3\.mp4: 5 bytes, it had \d+"):
        StoredSource.open(tmp_path / "store", videos, recipe=recipe, config=config)


def test_views_and_videos_that_the_store_lacks_are_refused(
    tmp_path: Path, videos: list[Video], recipe: Recipe, config: FeaturesConfig
) -> None:
    source = open_source(config, videos[:-1], recipe=recipe, store=tmp_path / "store")
    test = next(video for video in videos if video.split == "test")
    with pytest.raises(StoreError, match=r"view 3 of the train video .* holds views 0 to 2"):
        source.view(training(videos[:-1]), 3)
    with pytest.raises(StoreError, match=r"view 1 of the test video .* holds views 0 to 0"):
        source.view([test], 1)
    with pytest.raises(StoreError, match=f"{videos[-1].key} .* is not one of the videos"):
        source.view(videos[-1:], 0)


def test_one_key_in_both_splits(tmp_path: Path, videos: list[Video], recipe: Recipe, config: FeaturesConfig) -> None:
    first = training(videos)[0]
    twin = Video(first.key, first.file, first.label, "test")
    source = open_source(config, [first, twin], recipe=recipe, store=tmp_path / "store")
    assert torch.equal(everything(source.view([first], 0)), everything(source.view([twin], 0)))
    assert source.view([first], 2).rows(torch.tensor([0])).shape == (1, 3, 6)


def test_what_the_system_does_not_map_is_said(
    tmp_path: Path, videos: list[Video], recipe: Recipe, config: FeaturesConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> int:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    open_source(config, videos, recipe=recipe, store=tmp_path / "store")
    monkeypatch.setattr(tables, "_map_at", refused)
    with pytest.raises(StoreError, match=r"shards of .*store cannot be mapped .*memory.*raise the limit .*ulimit -v"):
        open_source(config, videos, recipe=recipe, store=tmp_path / "store")
