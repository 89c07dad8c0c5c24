"""How much faster two workers of Ray extract on two cores than one process on one, and what Ray costs per shard.

The videos and the settings are those of `extraction.py`: real files, decoded in full, five views of a training video.
Both sides run `essential extract`'s own function: one process pinned to one core, and a cluster of this machine with
two workers of a core each, while this process writes the shards. The clock runs from the first finished shard to the
last: starting Python, Ray and the workers is not counted, and is in the details. On a machine that is busy otherwise
the figure means nothing.

A shard's cost is that of a task that computes nothing and gives a shard's features: 64 videos, five views, 8 frames of
768 numbers, 8 MB, handed out, computed and copied here by one worker, one after the other.
"""

import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch
from extraction import write_video
from measuring import Result, main, ratios_in_turns

from essential.engine.config import load_config
from essential.engine.ray_pool import RayCluster, run_on_ray
from essential.engine.run import extract
from essential.engine.settings import RunConfig
from essential.progress import QUIET, Progress

_FILES, _VIDEOS, _TESTS, _SHARD = 4, 240, 2, 12
_TURNS = 3
_TASKS, _SHAPE = 100, (64, 5, 8, 768)


class Times(Progress):
    """Keeps when so many videos were done."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.steps: list[tuple[int, float]] = []

    def advance(self, done: int, note: str = "", *, total: int | None = None) -> None:  # noqa: ARG002
        self.steps.append((done, time.monotonic()))

    def rate(self) -> tuple[float, float]:
        """Return the videos a second after the first shard, and the seconds until then."""
        first, start = next(step for step in self.steps if step[0] >= _SHARD)
        last, end = self.steps[-1]
        return (last - first) / (end - start), start - self.began


def settings(data: Path, store: Path) -> RunConfig:
    """Return what is extracted: as `extraction.py` has it, with the embedded encoder."""
    places = [f"data.root={data}", f"features.store={store}", f"features.shard_videos={_SHARD}"]
    return load_config(
        "own/essential", ["encoder.name=tiny", "features.views=4", "training.device=cpu", "protocol.tasks=2", *places]
    )


def extract_here(connection: "Connection[tuple[float, float], None]", core: int, data: Path, store: Path) -> None:
    """Extract in this process alone, on one core, and send the rate."""
    os.sched_setaffinity(0, {core})
    torch.set_num_threads(1)
    times = Times()
    extract(settings(data, store), progress=times)
    connection.send(times.rate())


def one_process(core: int, data: Path, store: Path) -> float:
    """Return the videos a second of one process on one core."""
    context = multiprocessing.get_context("spawn")
    theirs, ours = context.Pipe()
    process = context.Process(target=extract_here, args=(ours, core, data, store))
    process.start()
    rate: float = theirs.recv()[0]
    process.join()
    return rate


def begin_nothing() -> Callable[[int], np.ndarray]:
    """Return what gives a shard's features at once."""
    features = np.ones(_SHAPE, np.float32)
    return lambda number: features + np.float32(number)


def cost_of_shards() -> tuple[float, float]:
    """Return the seconds that a shard takes which is computed at once, and those of computing it."""
    work, copies = begin_nothing(), []
    start = time.perf_counter()
    for number in range(10):
        work(number)
    alone = (time.perf_counter() - start) / 10
    running = run_on_ray(begin_nothing, range(_TASKS + 1), cluster=RayCluster(None, 1), on_gpus=False, progress=QUIET)
    for place, result in running:
        if place == 0:
            start = time.perf_counter()
        copies = [np.array(result)]
    del copies
    return (time.perf_counter() - start) / _TASKS, alone


def measure() -> Sequence[Result]:
    """Extract the same videos on two workers and in one process, in turns."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("this benchmark needs two CPU cores")
    os.sched_setaffinity(0, cores[:2])
    rates: dict[str, list[float]] = {"one process": [], "two workers": []}
    begins = []
    with tempfile.TemporaryDirectory() as folder:
        data, places = Path(folder) / "data", iter(range(2 * _TURNS))
        for index in range(_FILES):
            write_video(Path(folder) / f"{index}.mp4", seed=index)
        for index in range(_VIDEOS + _TESTS):
            path = data / ("train" if index < _VIDEOS else "test") / f"class-{index % 2}" / f"{index}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.hardlink_to(Path(folder) / f"{index % _FILES}.mp4")

        def two() -> float:
            times = Times()
            store = Path(folder) / f"store-{next(places)}"
            extract(settings(data, store), progress=times, cluster=RayCluster(None, 2))
            rate, begin = times.rate()
            begins.append(begin)
            rates["two workers"].append(rate)
            return rate

        def one() -> float:
            rates["one process"].append(one_process(cores[0], data, Path(folder) / f"store-{next(places)}"))
            return rates["one process"][-1]

        ratio, spread = ratios_in_turns(two, one, turns=_TURNS)
    detail: dict[str, float | str] = {
        f"videos a second, {name}": sorted(all_)[_TURNS // 2] for name, all_ in rates.items()
    }
    detail["seconds from the command to the first shard, two workers"] = sorted(begins)[_TURNS // 2]
    shard, alone = cost_of_shards()
    megabytes = 4e-6 * np.prod(_SHAPE)
    return [
        Result("extraction with two workers of Ray over one process", ratio, ">=", 1.7, spread, detail),
        Result(
            f"milliseconds that Ray takes for a shard of {megabytes:.0f} MB, on one machine",
            1e3 * (shard - alone),
            "<=",
            200,
            detail={"milliseconds of making it": 1e3 * alone},
        ),
    ]


if __name__ == "__main__":
    main(measure, __doc__)
