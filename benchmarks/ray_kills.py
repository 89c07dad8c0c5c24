"""Kill workers of Ray at random while they extract, and hold the store against that of one process.

`python benchmarks/ray_kills.py [--kills 20] [--seed 0]`. A cluster of two nodes of one core each, processes of this
machine, extracts videos of ten seconds into a store of small shards. Whenever some of them are done, a worker is
killed, chosen at random: one that encodes, waits, or is being set up. Then one process makes the same store. Exits with
1 unless the two are equal to the byte, each shard was written once, and all kills came. With twenty kills it takes
about three minutes on two cores.
"""

import argparse
import hashlib
import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from signal import SIGKILL
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "speed"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from extraction import write_video

from essential.engine.config import load_config
from essential.engine.ray_pool import RayCluster
from essential.engine.run import extract
from essential.engine.settings import RunConfig
from essential.features.store import FeatureStore
from essential.progress import QUIET, Progress
from ray_nodes import two_nodes, workers_of

_FILES, _SHARD = 4, 6
# From one kill to the next, at most.
_VIDEOS_PER_KILL = 48


def write_data(folder: Path, videos: int) -> Path:
    """Write a folder of so many videos, which are few files, each under many names."""
    for index in range(_FILES):
        write_video(folder / f"{index}.mp4", seed=index)
    for index in range(videos):
        path = folder / "data" / ("train" if index % 8 else "test") / f"class-{index // 8 % 2}" / f"{index}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.hardlink_to(folder / f"{index % _FILES}.mp4")
    return folder / "data"


def settings(data: Path, store: Path) -> RunConfig:
    """Return what is extracted."""
    places = [f"data.root={data}", f"features.store={store}", f"features.shard_videos={_SHARD}"]
    return load_config(
        "own/essential", ["encoder.name=tiny", "features.views=4", "training.threads=1", "protocol.tasks=2", *places]
    )


class Killer(Progress):
    """Kills a worker of a cluster, chosen at random, whenever some more videos are done, until there were enough."""

    def __init__(self, cluster: Any, kills: int, seed: int) -> None:
        self._cluster, self._kills, self._draw = cluster, kills, random.Random(seed)
        self.killed, self._next = 0, 1

    def advance(self, done: int, note: str = "", *, total: int | None = None) -> None:  # noqa: ARG002
        if done >= self._next and self.killed < self._kills:
            self._next = done + self._draw.randrange(1, _VIDEOS_PER_KILL)
            found = workers_of(self._cluster)
            os.kill(self._draw.choice(found), SIGKILL)
            self.killed += 1
            print(f"{done:,} of {total:,} videos; worker {self.killed} killed", flush=True)

    def say(self, note: str) -> None:
        print(note, flush=True)


def hashes(store: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of a store, but for the index, which holds times."""
    files = [path for path in store.rglob("*") if path.is_file() and path.name != ".index"]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def main() -> None:
    """Extract under fire, then in peace, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    written: Counter[str] = Counter()
    write = FeatureStore.write

    def counted(store: FeatureStore, shard: Any, *content: Any) -> None:
        written[shard.name] += 1
        write(store, shard, *content)

    with tempfile.TemporaryDirectory() as folder:
        data, start = write_data(Path(folder), _VIDEOS_PER_KILL * arguments.kills), time.monotonic()
        with two_nodes() as cluster:
            killer = Killer(cluster, arguments.kills, arguments.seed)
            FeatureStore.write = counted  # type: ignore[method-assign]
            address = RayCluster(cluster.address, 2)
            there, _ = extract(settings(data, Path(folder) / "there"), progress=killer, cluster=address)
        FeatureStore.write = write  # type: ignore[method-assign]
        print(f"{killer.killed} workers killed; {len(written)} shards in {time.monotonic() - start:.0f} s", flush=True)
        here, _ = extract(settings(data, Path(folder) / "here"), progress=QUIET)
        equal, once = hashes(there) == hashes(here), set(written.values()) == {1}
        print(f"the same {len(hashes(here))} files as one process: {equal}; each shard written once: {once}")
    sys.exit(not (equal and once and killer.killed == arguments.kills))


if __name__ == "__main__":
    main()
