"""Kill workers of Ray at random while they extract, and hold the store against that of one process.

`python benchmarks/ray_kills.py [--kills 20] [--seed 0]`. A cluster of two nodes of one core each, processes of this
machine, extracts videos of ten seconds into a store of small shards, and is killed a worker of, chosen at random, every
few seconds; then one process makes the same store. Exits with 1 unless the two are equal to the byte, each shard was
written once, and all kills came. A worker takes some seconds to be set up again: with twenty kills the videos last for
about three minutes on two cores.
"""

import argparse
import hashlib
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "speed"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from extraction import write_video

from essential.cli.progress_bar import terminal_progress
from essential.engine.config import load_config
from essential.engine.ray_pool import RayCluster
from essential.engine.run import extract
from essential.engine.settings import RunConfig
from essential.features.store import FeatureStore
from ray_nodes import kill_a_worker, two_nodes, workers_of

_FILES, _SHARD = 4, 6
_LEAST_SECONDS, _MOST_SECONDS = 2.0, 6.0
# Of work: on two cores a kill comes about every 40 videos.
_VIDEOS_PER_KILL = 80


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


class Killer(threading.Thread):
    """Kills so many workers of a cluster, one after the other."""

    def __init__(self, cluster: Any, kills: int, seed: int) -> None:
        super().__init__(daemon=True)
        self._cluster, self._kills, self._draw = cluster, kills, random.Random(seed)
        self.killed = 0
        self.over = threading.Event()

    def run(self) -> None:
        while self.killed < self._kills and not self.over.wait(self._draw.uniform(_LEAST_SECONDS, _MOST_SECONDS)):
            if workers_of(self._cluster):
                kill_a_worker(self._cluster, self._draw.randrange(1000))
                self.killed += 1


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
            killer.start()
            FeatureStore.write = counted  # type: ignore[method-assign]
            address = RayCluster(cluster.address, 2)
            there, _ = extract(settings(data, Path(folder) / "there"), progress=terminal_progress(), cluster=address)
            killer.over.set()
            killer.join()
        FeatureStore.write = write  # type: ignore[method-assign]
        print(f"{killer.killed} workers killed; {len(written)} shards in {time.monotonic() - start:.0f} s", flush=True)
        here, _ = extract(settings(data, Path(folder) / "here"), progress=terminal_progress())
        equal, once = hashes(there) == hashes(here), set(written.values()) == {1}
        print(f"the same {len(hashes(here))} files as one process: {equal}; each shard written once: {once}")
    sys.exit(not (equal and once and killer.killed == arguments.kills))


if __name__ == "__main__":
    main()
