"""How much faster two processes extract than one: the parts `--shard 0/2` and `--shard 1/2`, a core and a thread each.

The videos are real files (MP4, H.264, 340x256, 10 s), decoded in full; each gives its plain view and four augmented
ones, encoded by the embedded encoder. A process is pinned to its core before it begins, so that one process has one
core and two have two. They begin at the same moment; starting Python and loading the encoder are not counted. On a
machine that is busy otherwise the figure means nothing: other programs make room for one process, but not for two.
"""

import multiprocessing
import os
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import av
import numpy as np
import torch
from measuring import Result, main, ratios_in_turns

from essential.encoders import EncoderConfig, build_encoder
from essential.features.config import FeaturesConfig
from essential.features.extract import extract
from essential.features.provenance import build_recipe
from essential.protocols.protocol import Video
from essential.video.config import AugmentConfig

_FILES, _VIDEOS, _SHARD = 4, 120, 6
_WIDTH, _HEIGHT, _PICTURES, _RATE = 340, 256, 250, 25
_TURNS = 3


def write_video(path: Path, *, seed: int) -> None:
    """Write ten seconds of a soft pattern that moves, with some noise on it."""
    draw = np.random.default_rng(seed)
    coarse = torch.from_numpy(draw.random((1, 3, 24, 32), np.float32) * 255)
    wide = torch.nn.functional.interpolate(coarse, (_HEIGHT + 250, _WIDTH + 250), mode="bicubic").clamp(0, 255)
    pattern = wide[0].permute(1, 2, 0).numpy()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=_RATE)
        stream.width, stream.height, stream.pix_fmt = _WIDTH, _HEIGHT, "yuv420p"
        for index in range(_PICTURES):
            picture = pattern[index : index + _HEIGHT, index // 2 : index // 2 + _WIDTH]
            noisy = picture + draw.normal(0, 4, picture.shape)
            frame = av.VideoFrame.from_ndarray(np.clip(noisy, 0, 255).astype(np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def extract_part(
    connection: "Connection[None, float]", core: int, store: Path, videos: list[Video], part: tuple[int, int]
) -> None:
    """Extract a part on one core, once told to, and say when it is done."""
    os.sched_setaffinity(0, {core})
    torch.set_num_threads(1)
    config = FeaturesConfig(shard_videos=_SHARD)
    recipe = build_recipe(config, build_encoder(EncoderConfig()), augment=AugmentConfig(), frames=8, seed=0)
    connection.send(0.0)
    connection.recv()
    extract(store, videos, recipe=recipe, config=config, part=part)
    connection.send(time.monotonic())


def videos_per_second(videos: list[Video], cores: Sequence[int]) -> float:
    """Extract all videos into a new store, a process on each core."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        pipes, processes = [], []
        for place, core in enumerate(cores):
            ours, theirs = context.Pipe()
            arguments = (theirs, core, Path(folder) / "store", videos, (place, len(cores)))
            processes.append(context.Process(target=extract_part, args=arguments))
            processes[-1].start()
            pipes.append(ours)
        for pipe in pipes:
            pipe.recv()
        start = time.monotonic()
        for pipe in pipes:
            pipe.send(None)
        end = max(pipe.recv() for pipe in pipes)
        for process in processes:
            process.join()
        files = len(list((Path(folder) / "store" / "shards").glob("*.safetensors")))
        assert files == _VIDEOS // _SHARD, f"{files} shards were made"
    return len(videos) / (end - start)


def measure() -> Sequence[Result]:
    """Extract the same videos with two processes and with one, in turns."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("this benchmark needs two CPU cores")
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{index}.mp4" for index in range(_FILES)]
        for index, file in enumerate(files):
            write_video(file, seed=index)
        videos = [Video(f"video-{index}", str(files[index % _FILES]), "class", "train") for index in range(_VIDEOS)]
        rates: dict[str, list[float]] = {"one": [], "two": []}

        def two() -> float:
            rates["two"].append(videos_per_second(videos, cores[:2]))
            return rates["two"][-1]

        def one() -> float:
            rates["one"].append(videos_per_second(videos, cores[:1]))
            return rates["one"][-1]

        ratio, spread = ratios_in_turns(two, one, turns=_TURNS)
    detail: dict[str, float | str] = {
        f"videos a second, {name}": sorted(found)[_TURNS // 2] for name, found in rates.items()
    }
    return [Result("extraction with two processes over one", ratio, ">=", 1.7, spread, detail)]


if __name__ == "__main__":
    main(measure, __doc__)
