"""Features held in memory are those of a store, and broken videos are treated as everywhere."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from essential.errors import DataError
from essential.features.config import FeaturesConfig
from essential.features.extract import extract
from essential.features.pipeline import Item, reading
from essential.features.provenance import Recipe
from essential.features.source import StoredSource, encode_and_hold
from essential.protocols.protocol import Video

CONFIG = FeaturesConfig(workers=1)


def _train(videos: list[Video]) -> list[Video]:
    return [video for video in videos if video.split == "train"]


@pytest.mark.numeric
def test_what_is_held_is_what_a_store_holds(videos: list[Video], recipe: Recipe, tmp_path: Path) -> None:
    recipe = replace(recipe, views=2)
    asked = _train(videos)
    extract(tmp_path / "store", asked, recipe=recipe, config=CONFIG)
    stored = StoredSource.open(tmp_path / "store", asked, recipe=recipe, config=CONFIG)
    done: list[tuple[int, int]] = []
    held, hashes = encode_and_hold(asked, recipe=recipe, config=CONFIG, progress=lambda *now: done.append(now))
    assert done[-1] == (len(asked), len(asked))
    assert len(set(hashes.values())) == len(asked)
    for view in range(3):
        rows = torch.arange(len(asked)).flip(0)
        assert torch.equal(held.view(asked, view).rows(rows), stored.view(asked, view).rows(rows))
    assert [held.training_view(epoch) for epoch in range(4)] == [stored.training_view(epoch) for epoch in range(4)]


def test_a_broken_video_stops_or_is_left_out_by_name(videos: list[Video], recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "bad.avi").write_text("no video")
    asked = [*_train(videos)[:2], Video("bad.avi", str(tmp_path / "bad.avi"), "a", "train")]
    with pytest.raises(DataError, match=r"bad\.avi"):
        encode_and_hold(asked, recipe=recipe, config=CONFIG)
    skipping = CONFIG.model_copy(update={"on_broken_video": "skip"})
    held, hashes = encode_and_hold(asked, recipe=recipe, config=skipping)
    assert list(held.skipped) == ["bad.avi"]
    assert [video.key for video in held.view(asked, 0).videos] == [video.key for video in asked[:2]]
    assert set(hashes) == {video.key for video in asked[:2]}


@pytest.mark.parametrize("workers", [0, 1])
def test_videos_are_drawn_as_they_are_read(videos: list[Video], recipe: Recipe, workers: int) -> None:
    request = recipe.request((0,))
    drawn = 0

    def endless() -> Iterator[Item]:
        nonlocal drawn
        while True:
            drawn += 1
            yield videos[drawn % len(videos)], request

    every = reading(endless(), largest=request, workers=workers, config=CONFIG, identify=None)
    read = [next(every) for _ in range(5)]
    every.close()
    assert [place for place, _ in read] == list(range(5))
    assert all(one.clips is not None and one.note.sha256 is None for _, one in read)
    assert drawn <= 5 + 2 * 1 + 1


def test_no_video_gives_an_empty_table(videos: list[Video], recipe: Recipe) -> None:
    held, _ = encode_and_hold(_train(videos)[:1], recipe=recipe, config=CONFIG)
    table = held.view([], 0)
    assert len(table) == 0
    assert table.rows(torch.arange(0)).shape == (0, recipe.frames, recipe.encoder.dim)
    assert np.isfinite(held.view(_train(videos)[:1], 0).rows(torch.arange(1)).numpy()).all()
