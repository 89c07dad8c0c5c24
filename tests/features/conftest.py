"""A handful of tiny videos, a fake encoder, and a recipe that takes a second at most."""

import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from fake_encoder import FakeEncoder

from essential.features.config import FeaturesConfig
from essential.features.provenance import Recipe, build_recipe
from essential.protocols.protocol import Video
from essential.video.config import AugmentConfig

TRAIN, TEST = 7, 4


def write_video(path: Path, *, frames: int, seed: int) -> None:
    """Write a small MPEG-4 file of random blocks, another one for each seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(seed)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        for _ in range(frames):
            blocks = draw.integers(0, 256, (6, 8, 3), np.uint8).repeat(4, 0).repeat(4, 1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(blocks, format="rgb24")))
        container.mux(stream.encode())


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of videos that no test changes."""
    root = tmp_path_factory.mktemp("recorded")
    for index in range(TRAIN):
        write_video(root / f"train/{'ab'[index % 2]}/{index}.mp4", frames=5 + index, seed=index)
    for index in range(TEST):
        write_video(root / f"test/{'ab'[index % 2]}/{index}.mp4", frames=5 + index, seed=100 + index)
    return root


@pytest.fixture
def root(recorded: Path, tmp_path: Path) -> Path:
    """Return a copy of the videos that the test may damage."""
    return Path(shutil.copytree(recorded, tmp_path / "videos"))


@pytest.fixture
def videos(root: Path) -> list[Video]:
    """Return the videos, training and test ones mixed."""
    paths = sorted(root.rglob("*.mp4"), key=lambda path: path.name)
    found = [
        Video(
            str(path.relative_to(root)), str(path), path.parent.name, "train" if path.parts[-3] == "train" else "test"
        )
        for path in paths
    ]
    assert len(found) == TRAIN + TEST
    return found


@pytest.fixture
def recipe() -> Recipe:
    """Return a recipe of 3 frames and 2 augmented views."""
    return build_recipe(FeaturesConfig(views=2), FakeEncoder(), augment=AugmentConfig(), frames=3, seed=5)


@pytest.fixture
def change(recipe: Recipe) -> Callable[..., Recipe]:
    """Return a function that gives the recipe with some values changed."""
    return lambda **values: dataclasses.replace(recipe, **values)


@pytest.fixture
def config() -> FeaturesConfig:
    """Return settings that cut the videos into shards of 3 and 1, 3 and 1, decoded in this process."""
    return FeaturesConfig(shard_videos=3, workers=0)


@pytest.fixture
def content() -> Callable[[Path], dict[str, Any]]:
    """Return a function that gives every byte of a store, by file name.

    A safetensors header is compared as JSON: the format leaves the order of its keys to chance.
    """

    def read(store: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for path in store.rglob("*"):
            if path.is_file() and not path.name.startswith("."):
                found[str(path.relative_to(store))] = _plain(path)
        return found

    return read


def _plain(path: Path) -> Any:
    whole = path.read_bytes()
    if path.suffix != ".safetensors":
        return whole
    start = 8 + int.from_bytes(whole[:8], "little")
    return json.loads(whole[8:start]), whole[start:]


@pytest.fixture
def child_environment() -> dict[str, str]:
    """Return the environment for a Python process that imports the library and the fake encoder."""
    source = str(Path(__file__).parents[2] / "src")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([source, str(Path(__file__).parent)])}


@pytest.fixture(autouse=True)
def global_generator_untouched() -> Any:
    """No code of this layer draws from torch's global generator, or a method could tell stored from live."""
    before = torch.get_rng_state()
    yield
    assert torch.equal(before, torch.get_rng_state())
