"""Videos encoded without a store give the features that a store holds, and the reason where there are none."""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest
import torch

from essential.features.config import FeaturesConfig
from essential.features.extract import extract
from essential.features.pipeline import Item, VideoEncoder, encode_each, reading
from essential.features.provenance import Recipe
from essential.features.source import StoredSource, encode_all
from essential.protocols.protocol import Video
from seen_progress import SeenProgress

CONFIG = FeaturesConfig(workers=1)


def _train(videos: list[Video]) -> list[Video]:
    return [video for video in videos if video.split == "train"]


@pytest.mark.numeric
def test_what_is_encoded_is_what_a_store_holds(videos: list[Video], recipe: Recipe, tmp_path: Path) -> None:
    recipe = replace(recipe, views=2)
    asked = _train(videos)
    extract(tmp_path / "store", asked, recipe=recipe, config=CONFIG)
    stored = StoredSource.open(tmp_path / "store", asked, recipe=recipe, config=CONFIG)
    done = SeenProgress()
    request = recipe.request((0, 1, 2))
    encoded = encode_all(asked, request, recipe=recipe, config=CONFIG, progress=done)
    assert done.steps[-1] == (len(asked), len(asked))
    assert [one.note.key for one in encoded] == [video.key for video in asked]
    assert len({one.note.sha256 for one in encoded}) == len(asked)
    features = np.stack([one.features for one in encoded if one.features is not None])
    for view in range(3):
        rows = stored.view(asked, view).rows(torch.arange(len(asked)))
        assert torch.equal(torch.from_numpy(features[:, view]).float(), rows)


def test_a_broken_video_has_the_reason(videos: list[Video], recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "bad.avi").write_text("no video")
    asked = [*_train(videos)[:2], Video("bad.avi", str(tmp_path / "bad.avi"), "a", "train")]
    encoded = encode_all(asked, recipe.request((0,)), recipe=recipe, config=CONFIG)
    assert [one.features is None for one in encoded] == [False, False, True]
    assert [one.note.broken is None for one in encoded] == [True, True, False]
    assert encode_all([], recipe.request((0,)), recipe=recipe, config=CONFIG) == []


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


@pytest.mark.parametrize("workers", [0, 2])
def test_one_list_after_the_other_is_encoded_as_if_alone_by_the_same_processes(
    videos: list[Video], recipe: Recipe, tmp_path: Path, workers: int
) -> None:
    (tmp_path / "bad.avi").write_text("no video")
    bad, asked = Video("bad.avi", str(tmp_path / "bad.avi"), "a", "train"), _train(videos)
    config = FeaturesConfig(workers=workers, batch_clips=3)
    wide, plain = recipe.request((0, 1)), recipe.request((0,))
    lists = [
        [(asked[0], wide), (bad, wide), (asked[1], wide)],
        [(bad, plain)],
        [(video, plain) for video in asked[:2]],
        [(asked[2], wide)],
    ]
    processes = []
    encoder = VideoEncoder(lists[0][:1], len(lists[0]), recipe=recipe, config=config)
    for number, items in enumerate(lists):
        if workers and number == 2:
            os.kill(processes[-1][0], signal.SIGKILL)
        encoded, alone = dict(encoder.encode(items)), dict(encode_each(items, recipe=recipe, config=config))
        assert sorted(encoded) == [*range(len(items))]
        for place, one in encoded.items():
            assert one.note == alone[place].note
            assert one.note.key == items[place][0].key
            assert one.frame_count == alone[place].frame_count
            assert np.array_equal(one.features, alone[place].features)  # type: ignore[arg-type]
        processes.append(sorted(process.pid or 0 for process in active_children()))
    assert [len(pids) for pids in processes] == [workers] * len(lists)
    assert processes[0] == processes[1]
    assert processes[2] == processes[3]
    # Of the two the one that was killed, and no other, is replaced.
    assert len({*processes[1]} & {*processes[2]}) == max(0, workers - 1)
    # As a worker of Ray ends it.
    del encoder
    assert not active_children()
