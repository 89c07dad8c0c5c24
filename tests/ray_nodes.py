"""A Ray cluster of two nodes of one core each, as processes of this machine, and what kills its workers."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

RESULT_BYTES = 80 * 2**20


@contextmanager
def two_nodes(gpus: int = 0) -> Iterator[Any]:
    """Start the cluster, and end it; the second node says that it has so many GPUs."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    from ray.cluster_utils import Cluster

    each = {"num_cpus": 1, "object_store_memory": RESULT_BYTES}
    cluster = Cluster(initialize_head=True, head_node_args={**each, "include_dashboard": False})
    try:
        cluster.add_node(**each, num_gpus=gpus)
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
            if parent in nodes and b"Worker" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:  # it has ended meanwhile
            continue
    return sorted(found)


def kill_a_worker(cluster: Any, number: int) -> None:
    """Kill one of the workers, which there are some of."""
    found = workers_of(cluster)
    os.kill(found[number % len(found)], signal.SIGKILL)
