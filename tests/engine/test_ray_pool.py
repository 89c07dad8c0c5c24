"""The pool of Ray workers on a cluster of two nodes on this machine: what a death, a lost node and a bad one cost."""

import os
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from essential.engine import ray_pool
from essential.engine.ray_pool import RayCluster, begun, cores_of_each, reachable_address, room_for, run_on_ray
from essential.errors import EssentialError, FileSystemError, ProcessGroupError
from essential.progress import QUIET
from essential.video.worker_pool import Lost
from ray_nodes import RESULT_BYTES, two_nodes
from seen_progress import SeenProgress

ray = pytest.importorskip("ray", reason="Ray is an extra: pip install 'essential-video[ray]'")
pytestmark = [pytest.mark.engines, pytest.mark.slow]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Give a cluster of two nodes of one core each, and this process its driver."""
    with two_nodes(gpus=1) as both:
        # The nodes do not have this file.
        ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
        ray.init(both.address, log_to_driver=False, logging_level=50)
        yield both
        ray.shutdown()


def done_on_ray(
    begin: Callable[[], Callable[[Any], Any]], tasks: Sequence[Any], workers: int | None = 2, **settings: Any
) -> dict[int, Any]:
    """Return the result of each task by its place."""
    given = {"progress": QUIET, "on_gpus": False, **settings}
    results = list(run_on_ray(begin, tasks, cluster=RayCluster(None, workers), **given))
    assert len(results) == len({place for place, _ in results})
    return dict(results)


def node_of_worker() -> str:
    return str(ray.get_runtime_context().get_node_id())


def wait_for(folder: Path, pattern: str, count: int = 1) -> None:
    while len([*folder.glob(pattern)]) < count:
        time.sleep(0.05)


def begin_squares(folder: Path, waits: tuple[str, int] = ("worker-*", 1)) -> Callable[[int], int]:
    """Count in `folder` the workers that begin and the tasks that are begun; a task is squared.

    Before that it waits for so many files there.
    """

    def square(number: int) -> int:
        wait_for(folder, *waits)
        (folder / f"task-{number}-{len([*folder.glob(f'task-{number}-*')])}").write_text(node_of_worker())
        return number * number

    (folder / f"worker-{os.getpid()}").touch()
    return square


def begin_deaths(folder: Path, deadly: int, deaths: int) -> Callable[[int], int]:
    """Die, so many times, of the task that is `deadly`."""
    square = begin_squares(folder, ("worker-*", 2))

    def work(number: int) -> int:
        result = square(number)
        if number == deadly and len([*folder.glob(f"task-{number}-*")]) <= deaths:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return work


def begin_on_bad_nodes(folder: Path, bad: Sequence[str] | None, error: Exception, *, when: str) -> Callable[[int], int]:
    """Meet an error on some nodes, or on all, when a worker begins or works."""

    def fail() -> None:
        (folder / f"failed-{os.getpid()}").touch()
        raise error

    is_bad = bad is None or node_of_worker() in bad
    if is_bad and when == "begin":
        fail()
    square = begin_squares(folder, ("failed-*", 1))

    def work(number: int) -> int:
        if is_bad:
            fail()
        return square(number)

    return work


def begin_to_hold(folder: Path) -> Callable[[int], int]:
    """Hold what makes a file when it is deleted."""

    def hold() -> Generator[None, None, None]:
        try:
            yield
        finally:
            (folder / f"ended-{os.getpid()}").touch()

    held, square = hold(), begin_squares(folder, ("worker-*", 2))
    next(held)

    def work(number: int) -> int:
        assert held.gi_frame is not None
        return square(number)

    return work


def counted(folder: Path, what: str) -> Counter[str]:
    """Return how often each worker or task began."""
    return Counter("-".join(path.name.split("-")[:2]) for path in folder.glob(f"{what}-*"))


@pytest.mark.usefixtures("cluster")
def test_each_worker_is_set_up_once_and_each_task_is_done_once(tmp_path: Path) -> None:
    begun_first: list[int] = []
    results = done_on_ray(partial(begin_squares, tmp_path, ("worker-*", 2)), range(9), on_begin=begun_first.append)
    assert results == {number: number**2 for number in range(9)}
    assert sorted(begun_first) == [*range(9)]
    assert len(counted(tmp_path, "worker")) == 2
    assert set(counted(tmp_path, "task").values()) == {1}
    assert {path.read_text() for path in tmp_path.glob("task-*")} == {node["NodeID"] for node in ray.nodes()}


@pytest.mark.usefixtures("cluster")
def test_what_the_workers_hold_is_deleted_before_they_are_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_pool, "_END_SECONDS", 300.0)
    assert done_on_ray(partial(begin_to_hold, tmp_path), range(4)) == {number: number**2 for number in range(4)}
    assert len(counted(tmp_path, "ended")) == 2


@pytest.mark.usefixtures("cluster")
def test_a_worker_does_its_next_task_while_its_result_is_used(tmp_path: Path) -> None:
    running = run_on_ray(
        partial(begin_squares, tmp_path), range(2), cluster=RayCluster(None, 1), on_gpus=False, progress=QUIET
    )
    assert next(running) == (0, 0)
    wait_for(tmp_path, "task-1-0")
    assert [*running] == [(1, 1)]


@pytest.mark.usefixtures("cluster")
def test_the_task_of_a_worker_that_died_is_begun_again_and_no_other(tmp_path: Path) -> None:
    notes = SeenProgress()
    results = done_on_ray(partial(begin_deaths, tmp_path, 3, 2), range(6), progress=notes)
    assert results == {number: number**2 for number in range(6)}
    assert counted(tmp_path, "task") == {f"task-{number}": 1 for number in range(6)} | {"task-3": 3}
    assert notes.notes == [f"a worker on {socket.gethostname()} died; its task is begun again"] * 2


@pytest.mark.usefixtures("cluster")
def test_a_task_that_three_workers_died_of_is_lost_and_the_others_are_done(tmp_path: Path) -> None:
    results = done_on_ray(partial(begin_deaths, tmp_path, 1, 99), range(5))
    lost = results.pop(1)
    assert isinstance(lost, Lost)
    assert lost.reason.endswith(", and so did 2 before")
    assert results == {number: number**2 for number in (0, 2, 3, 4)}
    assert counted(tmp_path, "task")["task-1"] == 3


@pytest.mark.parametrize(
    ("error", "told", "when"),
    [
        (FileSystemError("it is full", where="/tmp", remedy="free some"), "/tmp: it is full; free some", "work"),
        (OSError(28, "No space left on device"), "OSError: [Errno 28] No space left on device", "begin"),
    ],
)
@pytest.mark.usefixtures("cluster")
def test_a_node_that_meets_an_error_of_its_own_gets_no_more_tasks(
    tmp_path: Path, error: Exception, told: str, when: str
) -> None:
    first, second = (node["NodeID"] for node in ray.nodes() if node["Alive"])
    notes = SeenProgress()
    results = done_on_ray(partial(begin_on_bad_nodes, tmp_path, [first], error, when=when), range(6), progress=notes)
    assert results == {number: number**2 for number in range(6)}
    assert {path.read_text() for path in tmp_path.glob("task-*")} == {second}
    assert notes.notes == [f"node {socket.gethostname()}: {told}; this node gets no more tasks"]


@pytest.mark.usefixtures("cluster")
def test_when_no_node_is_left_the_error_of_the_last_is_raised(tmp_path: Path) -> None:
    error = FileSystemError("the disk is full", where="/scratch")
    with pytest.raises(FileSystemError, match=rf"^node {socket.gethostname()}: /scratch: the disk is full$"):
        done_on_ray(partial(begin_on_bad_nodes, tmp_path, None, error, when="work"), range(6))
    assert counted(tmp_path, "task") == {}


@pytest.mark.usefixtures("cluster")
def test_a_result_that_is_not_accepted_costs_its_node(tmp_path: Path) -> None:
    def refuse(task: int, result: int) -> None:
        raise EssentialError(f"{task} gave {result}")

    with pytest.raises(EssentialError, match=r"^node .*: 0 gave 0$"):
        done_on_ray(partial(begin_squares, tmp_path), [0], check=refuse)


def begin_seeing_gpus() -> Callable[[int], tuple[str, str | None]]:
    return lambda _: (node_of_worker(), os.environ.get("CUDA_VISIBLE_DEVICES"))


@pytest.mark.usefixtures("cluster")
def test_where_there_are_gpus_each_has_a_worker_which_sees_it_alone() -> None:
    (with_gpu,) = (node["NodeID"] for node in ray.nodes() if node["Resources"].get("GPU"))
    assert done_on_ray(begin_seeing_gpus, range(2), None, on_gpus=True) == dict.fromkeys(range(2), (with_gpu, "0"))


@pytest.mark.usefixtures("cluster")
def test_another_exception_is_raised_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        done_on_ray(partial(begin_on_bad_nodes, tmp_path, None, ZeroDivisionError("x"), when="work"), range(2))


@pytest.mark.usefixtures("cluster")
def test_nodes_with_another_version_of_the_package_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = ray_pool.__version__
    monkeypatch.setattr(ray_pool, "__version__", "0.0.1")
    with pytest.raises(
        ProcessGroupError, match=rf"^node .*: it has essential {there}, and the command runs 0\.0\.1; ins"
    ):
        done_on_ray(partial(begin_squares, tmp_path), range(2))
    with pytest.raises(ProcessGroupError, match=r"it has essential 0\.0\.1, and the command runs 9;"):
        begun(b"", "9")


def test_the_tasks_of_a_node_that_is_lost_are_done_by_the_others(cluster: Any, tmp_path: Path) -> None:
    lost = cluster.add_node(num_cpus=1, object_store_memory=RESULT_BYTES)
    cluster.wait_for_nodes()
    left = {node["NodeID"] for node in ray.nodes()} - {lost.node_id}
    removed = []
    results = {}
    running = run_on_ray(
        partial(begin_waiting, tmp_path, lost.node_id),
        range(8),
        cluster=RayCluster(None, 3),
        on_gpus=False,
        progress=QUIET,
    )
    for place, result in running:
        results[place] = result
        if not removed and [*tmp_path.glob("waiting-*")]:
            cluster.remove_node(lost, allow_graceful=False)
            removed.append(lost)
    assert removed == [lost]
    assert results == {number: number**2 for number in range(8)}
    assert {path.read_text() for path in tmp_path.glob("task-*")} <= left


def begin_waiting(folder: Path, node: str) -> Callable[[int], int]:
    """Never end a task on that node; on others, do the first one when the node has begun one."""
    square = begin_squares(folder, ("waiting-*", 1))

    def work(number: int) -> int:
        if node_of_worker() == node:
            (folder / f"waiting-{number}").touch()
            wait_for(folder, "never")
        return square(number)

    return work


def test_without_room_it_is_said_and_then_given_up(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del cluster
    monkeypatch.setattr(ray_pool, "_LOOK_SECONDS", 0.1)
    monkeypatch.setattr(ray_pool, "_SAY_SECONDS", 0.0)
    monkeypatch.setattr(ray_pool, "_PATIENCE_SECONDS", 0.3)
    notes = SeenProgress()
    with pytest.raises(ProcessGroupError, match="the Ray cluster has not got a node with 64 free CPU cores; see `ray "):
        done_on_ray(partial(begin_squares, tmp_path), range(2), cores=64, progress=notes)
    assert set(notes.notes) == {"waiting for a node with 64 free CPU cores"}


def node(cpus: float, gpus: int = 0) -> dict[str, Any]:
    return {"Resources": {"CPU": cpus, "GPU": gpus}}


@pytest.mark.parametrize(
    ("nodes", "workers", "gpus", "cores", "room"),
    [
        ([node(16), node(16)], None, 0, 16, 2),
        ([node(16), node(16)], 2, 0, 16, 2),
        ([node(16), node(16)], 3, 0, 8, 4),
        ([node(16), node(16)], 64, 0, 1, 32),
        ([node(2)], 2, 0, 1, 2),
        ([node(1), node(64)], None, 0, 32, 2),
        ([node(32, 4), node(32, 4), node(8)], None, 1, 8, 8),
        ([node(32, 4), node(4, 2)], None, 1, 2, 6),
        ([node(32, 4)], 2, 1, 16, 2),
        ([], None, 0, 1, 0),
    ],
)
def test_workers_share_the_cores(
    nodes: list[dict[str, Any]], workers: int | None, gpus: int, cores: int, room: int
) -> None:
    assert cores_of_each(nodes, workers, gpus) == cores
    assert room_for(nodes, cores, gpus) == room


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("ray://head:10001", r"an address with :// is for Ray's client"),
        ("head", "'head' is not HOST:PORT"),
        ("head:name", "'head:name' is not HOST:PORT"),
    ],
)
def test_an_address_that_is_none_is_refused_at_once(
    address: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(
        ProcessGroupError, match=rf"^the Ray cluster {address}: cannot be used: .*{problem}.*; give HOST"
    ):
        list(run_on_ray(abs, [1], cluster=RayCluster(address), on_gpus=False, progress=QUIET))


def test_a_head_that_cannot_be_reached_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", address)
        with pytest.raises(ProcessGroupError, match=rf"^the Ray cluster {address}: cannot be used: .*refused"):
            list(run_on_ray(abs, [1], cluster=RayCluster(), on_gpus=False, progress=QUIET))
    monkeypatch.setenv("RAY_ADDRESS", "")
    assert reachable_address(None) is None


def test_a_machine_on_which_ray_does_not_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**_: Any) -> None:
        raise Exception("The current node timed out during startup.")  # as Ray does

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(ProcessGroupError, match=r"^Ray on this machine: cannot be used: The current node timed out"):
        list(run_on_ray(abs, [1], cluster=RayCluster(), on_gpus=False, progress=QUIET))
