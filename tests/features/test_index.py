"""The index of a store: what it saves reading, and that it never hides what is on the disk."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from essential.errors import StoreError
from essential.features import index as indexing
from essential.features.config import FeaturesConfig
from essential.features.extract import extract
from essential.features.index import StoreIndex, read_index, with_checked_seals
from essential.features.provenance import Recipe
from essential.features.source import StoredSource, open_source
from essential.features.store import FeatureStore, open_store
from essential.protocols.protocol import Video
from seen_progress import SeenProgress


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count the files of the tests, which are all new, as ones that have not changed for long."""
    monkeypatch.setattr(indexing, "_COARSE_NS", -(10**9))


@pytest.fixture
def store(tmp_path: Path, videos: list[Video], recipe: Recipe, config: FeaturesConfig) -> FeatureStore:
    """Return a store of all videos, one of them broken."""
    videos[3].path.write_bytes(b"no video")
    skip = config.model_copy(update={"on_broken_video": "skip"})
    extract(tmp_path / "store", videos, recipe=recipe, config=skip)
    return open_store(tmp_path / "store", recipe.provenance())


def shard_file(store: FeatureStore, number: int = 1) -> Path:
    return store.shard_path(store.plan()[number])


def equal(one: StoreIndex, other: StoreIndex) -> bool:
    arrays = ("stamps", "layouts", "sealed", "size_bytes")
    return one.broken == other.broken and all(np.array_equal(getattr(one, a), getattr(other, a)) for a in arrays)


def forbidden(*_: object) -> None:
    raise AssertionError("read again")


def everything(store: FeatureStore, videos: list[Video], recipe: Recipe) -> torch.Tensor:
    skip = FeaturesConfig(workers=0, on_broken_video="skip")
    table = StoredSource.open(store.path, videos, recipe=recipe, config=skip).view(videos, 0)
    return table.rows(torch.arange(len(table)))


def test_a_store_as_it_was_is_opened_without_reading_a_shard(
    store: FeatureStore, videos: list[Video], recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything(store, videos, recipe)
    monkeypatch.setattr(indexing, "check_seal", forbidden)
    monkeypatch.setattr(FeatureStore, "layout_and_note", forbidden)
    assert torch.equal(everything(store, videos, recipe), before)
    index = read_index(store)
    assert index.sealed.all()
    assert [index.broken[place].key for place in index.broken] == [videos[3].key]


def test_a_finished_store_is_not_extracted_again(
    tmp_path: Path, videos: list[Video], recipe: Recipe, config: FeaturesConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_source(config, videos, recipe=recipe, store=tmp_path / "whole")
    monkeypatch.setattr("essential.features.source.extract", forbidden)
    seen = SeenProgress()
    open_source(config, videos, recipe=recipe, store=tmp_path / "whole", progress=seen)
    assert seen.steps == [(11, 11)]


@pytest.mark.parametrize("damage", ["gone", "cut short", "flipped", "another store's", "older"])
def test_an_index_that_cannot_be_used_is_made_again(
    tmp_path: Path, store: FeatureStore, videos: list[Video], recipe: Recipe, config: FeaturesConfig, damage: str
) -> None:
    path = store.path / ".index"
    old = path.read_bytes()
    shard_file(store).touch()
    good = with_checked_seals(read_index(store), range(len(store.plan())))
    content = bytearray(path.read_bytes())
    if damage == "gone":
        path.unlink()
    elif damage == "cut short":
        path.write_bytes(content[:-50])
    elif damage == "flipped":
        content[-30] ^= 1
        path.write_bytes(content)
    elif damage == "another store's":
        extract(tmp_path / "other", videos[:2], recipe=recipe, config=config)
        shutil.copy(tmp_path / "other" / ".index", path)
    else:
        path.write_bytes(old)
    again = with_checked_seals(read_index(store), range(len(store.plan())))
    assert equal(again, good)
    assert equal(read_index(store), good)


def test_a_shard_that_changes_is_checked_again_even_with_its_old_times(
    store: FeatureStore, videos: list[Video], recipe: Recipe
) -> None:
    everything(store, videos, recipe)
    path = shard_file(store)
    times, content = path.stat(), bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(StoreError, match=rf"{path.name} is damaged: .* checksum"):
        everything(store, videos, recipe)


def test_what_changed_a_moment_ago_is_checked_by_the_next_process_too(
    store: FeatureStore, videos: list[Video], recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "_COARSE_NS", 10**12)
    everything(store, videos, recipe)
    assert not read_index(store).sealed.any()


def test_a_shard_that_goes_or_comes_back_is_noticed(store: FeatureStore, videos: list[Video], recipe: Recipe) -> None:
    before = everything(store, videos, recipe)
    path = shard_file(store)
    path.rename(path.with_suffix(".away"))
    with pytest.raises(StoreError, match=r"lacks 3 of 11 videos|lacks 1 of 11 videos"):
        everything(store, videos, recipe)
    path.with_suffix(".away").rename(path)
    assert torch.equal(everything(store, videos, recipe), before)


def test_a_plan_that_grew_keeps_what_is_known(
    tmp_path: Path, videos: list[Video], recipe: Recipe, config: FeaturesConfig
) -> None:
    source = open_source(config, videos[:5], recipe=recipe, store=tmp_path / "store")
    first = source.view(videos[:5], 0).rows(torch.arange(5))
    extract(tmp_path / "store", videos, recipe=recipe, config=config)
    index = read_index(open_store(tmp_path / "store", recipe.provenance()))
    assert index.done.all()
    assert 0 < index.sealed.sum() < len(index.plan)
    source = open_source(config, videos, recipe=recipe, store=tmp_path / "store")
    assert torch.equal(source.view(videos[:5], 0).rows(torch.arange(5)), first)


def test_a_store_that_may_not_be_written_to_is_read_all_the_same(
    store: FeatureStore, videos: list[Video], recipe: Recipe
) -> None:
    before = everything(store, videos, recipe)
    (store.path / ".index").unlink()
    (store.path / ".index").mkdir()  # Nothing can take its place: what a read-only folder is to root, too.
    assert torch.equal(everything(store, videos, recipe), before)


def test_a_shard_replaced_while_the_store_is_opened_is_refused(
    store: FeatureStore, videos: list[Video], recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replaced(index: StoreIndex, _: list[int]) -> StoreIndex:
        path = shard_file(store)
        shutil.copy(path, path.with_suffix(".new"))
        path.with_suffix(".new").rename(path)
        return with_checked_seals(index, [])

    monkeypatch.setattr("essential.features.tables.with_checked_seals", replaced)
    with pytest.raises(StoreError, match=rf"{shard_file(store).name} changed after the store was opened"):
        everything(store, videos, recipe)
