"""A Ray cluster of two nodes of one core each, as processes of this machine, and a killer of its workers."""

import os
import random
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_RESULT_BYTES = 80 * 2**20


@contextmanager
def two_nodes() -> Iterator[Any]:
    """Start the cluster, and end it."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    from ray.cluster_utils import Cluster

    each = {"num_cpus": 1, "object_store_memory": _RESULT_BYTES}
    cluster = Cluster(initialize_head=True, head_node_args={**each, "include_dashboard": False})
    try:
        cluster.add_node(**each)
        cluster.wait_for_nodes()
        yield cluster
    finally:
        cluster.shutdown()


def workers_of(cluster: Any) -> list[int]:
    """Return the processes that are workers of ours: children of the cluster's nodes, by what Ray calls them."""
    nodes = {process.process.pid for node in cluster.list_all_nodes() for process in node.all_processes["raylet"]}
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent in nodes and (folder / "cmdline").read_bytes().startswith(b"ray::_actor_class"):
                found.append(int(folder.name))
        except (OSError, ValueError):  # it has ended meanwhile
            continue
    return found


@contextmanager
def killing(cluster: Any, *, kills: int, pause_seconds: float, seed: int = 0) -> Iterator[list[int]]:
    """Kill a worker now and then, chosen at random; give the list of those that were killed."""
    draw, over, killed = random.Random(seed), threading.Event(), list[int]()

    def kill() -> None:
        while len(killed) < kills and not over.wait(pause_seconds * draw.uniform(0.5, 1.5)):
            found = workers_of(cluster)
            if found:
                killed.append(draw.choice(found))
                os.kill(killed[-1], signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()
