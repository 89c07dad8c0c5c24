"""The same work on many tasks on a Ray cluster: a worker that dies, or a node that is lost, costs time and no task.

A worker is an actor of Ray: a process that is set up once and then does one task after the other. Ray places it, says
when it died and brings the results; which task goes where, and what becomes of it, is decided here.
"""

import logging
import os
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from essential.errors import EssentialError, ProcessGroupError
from essential.extras import require_extra
from essential.progress import Progress
from essential.version import __version__
from essential.video.worker_pool import Lost

Task = TypeVar("Task")
Result = TypeVar("Result")
# As `ray.nodes()` describes it.
Node = Mapping[str, Any]
Begin = Callable[[], Callable[[Task], Result]]

# How often a task is begun, on whichever nodes: a worker may die of lack of memory, which is not its task's fault.
_ATTEMPTS = 3
# So many workers in a row that died before they could begin: no more are started in their place.
_STILLBORN = 10
# How often to look for nodes that came or went, while no worker says anything.
_LOOK_SECONDS = 2.0
# A cluster that grows on demand takes minutes to start a machine.
_PATIENCE_SECONDS = 900.0
# Of memory that a cluster of this machine alone shares: the results on their way. More of them go to its disk.
_RESULT_BYTES = 256 * 2**20
_SAY_SECONDS = 20.0
_CONNECT_SECONDS = 10.0
_END_SECONDS = 5.0


class RayCluster(NamedTuple):
    """Where tasks are done.

    Attributes:
        address: of the cluster's head, HOST:PORT; None: $RAY_ADDRESS, and without it a cluster of this machine alone.
        workers: how many; None: one on every GPU, or on every node where there is none, or as many as it has room for.
    """

    address: str | None = None
    workers: int | None = None


def run_on_ray(
    begin: Begin[Task, Result],
    tasks: Sequence[Task],
    *,
    cluster: RayCluster,
    on_gpus: bool,
    cores: int | None = None,
    progress: Progress,
    on_begin: Callable[[int], None] = lambda _: None,
    check: Callable[[Task, Result], None] = lambda *_: None,
) -> Generator[tuple[int, Result | Lost], None, None]:
    """Do the tasks on a cluster, and yield the place of each with its result, as they come.

    A task whose worker died, or whose node is gone, goes to another worker; after three it is lost. A node that meets
    an EssentialError, such as a full disk or other versions, gets no more tasks, and what it had goes to the others.
    A worker is given its next task before the result of its last is yielded. Close the generator to end the workers.

    Args:
        begin: called once in each worker, with its share of the cores as `cpu_cores`; returns what does a task there,
            and is deleted when no task is left.
        on_gpus: one worker on each GPU, if the cluster has any.
        cores: of each worker; None: as many as there are for it.
        progress: is told of workers and nodes that fail.
        on_begin: called with the place of a task when it is begun for the first time.
        check: raises an EssentialError if a result shows that the node is not fit.

    Raises:
        ProcessGroupError: there is no such cluster, it is of another version, or has no room.
        EssentialError: what a node met, when no other is left, or when three have met it at one task.
        Exception: whatever else `begin` or the work raised.
    """
    if not tasks:
        return
    with _connected(cluster.address) as ray:
        pool: _Pool[Task, Result] = _Pool(ray, ray.cloudpickle.dumps(begin), tasks, cluster.workers, progress)
        try:
            pool.share(on_gpus, cores)
            yield from pool.results(on_begin, check)
        finally:
            for worker in pool.workers:
                ray.kill(worker.actor)


@contextmanager
def _connected(address: str | None) -> Iterator[Any]:
    """Join the cluster, or start one of this machine alone; end what was started."""
    # Nothing is reported to anybody; a worker without a GPU sees none.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    require_extra("ray", "ray", of="--engine ray")
    import ray

    _refuse_to_print()
    if ray.is_initialized():  # by the calling script
        yield ray
        return
    address = reachable_address(address)
    settings: dict[str, Any] = {"address": address}
    if address is None:
        from essential.features.cores import cpu_cores

        settings = {"address": "local", "num_cpus": cpu_cores(), "include_dashboard": False}
        settings["object_store_memory"] = _RESULT_BYTES
    try:
        ray.init(log_to_driver=False, logging_level=logging.CRITICAL, **settings)
    except Exception as error:  # a plain one, too, where a node is slow to start
        ray.shutdown()  # it may have begun to join
        raise _unusable(address, error) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _refuse_to_print() -> None:
    """Keep Ray from writing pages about each death to standard output; the pool tells of it in a line."""
    from ray._private import worker

    worker._worker_logs_enabled = False


def reachable_address(address: str | None) -> str | None:
    """Return the address of the cluster that is to be joined; None for one of this machine alone.

    Raises:
        ConfigError: Ray is not installed.
        ProcessGroupError: there is no cluster at the address.
    """
    require_extra("ray", "ray", of="--engine ray")
    address = address or os.environ.get("RAY_ADDRESS") or None
    if address is not None:
        try:
            _refuse_unreachable(address)
        except (OSError, ValueError) as error:
            raise _unusable(address, error) from error
    return address


def _unusable(address: str | None, error: Exception) -> ProcessGroupError:
    head = "give HOST:PORT as `ray start --head` printed it, and have one version of Ray and Python on all machines"
    if "RAY_AUTH_MODE" not in os.environ:
        head += "; if the cluster asks for a token, have it in ~/.ray/auth_token, and set RAY_AUTH_MODE=token"
    return ProcessGroupError(
        f"cannot be used: {' '.join(str(error).split())}",
        where=f"the Ray cluster {address}" if address else "Ray on this machine",
        remedy=head if address else "see the logs in /tmp/ray/session_latest/logs",
    )


def _refuse_unreachable(address: str) -> None:
    """Raise an OSError or ValueError at once where Ray itself would try for minutes."""
    if "://" in address:
        raise ValueError("an address with :// is for Ray's client; run this command on a machine of the cluster")
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f"{address!r} is not HOST:PORT")
    with socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS):
        pass


class _Place(NamedTuple):
    """The node that a worker is on: its id in the cluster, and its name."""

    node: str
    host: str


@dataclass(eq=False)
class _Worker:
    """An actor, the call that it is busy with if any, where it is once it is anywhere, and the place of its task."""

    actor: Any
    call: Any
    at: _Place | None = None
    is_ready: bool = False
    task: int | None = None


class _Pool(Generic[Task, Result]):
    def __init__(
        self,
        ray: Any,
        begin: bytes,
        tasks: Sequence[Task],
        wanted: int | None,
        progress: Progress,
    ) -> None:
        self.workers: list[_Worker] = []
        self._ray, self._begin, self._tasks, self._wanted, self._progress = ray, begin, tasks, wanted, progress
        self._actor = ray.remote(_actor_class())
        self._new, self._again = iter(range(len(tasks))), deque[int]()
        self._left = len(tasks)
        self._attempts: Counter[int] = Counter()
        self._refused: dict[str, EssentialError] = {}
        self._stillborn = self._given_up = 0
        self._last_placed = time.monotonic()
        self._gpus, self._cores = 0, 1

    def share(self, on_gpus: bool, cores: int | None) -> None:
        """Choose what each worker has."""
        nodes = self._nodes()
        self._gpus = int(on_gpus and any(map(_gpus_of, nodes)))
        self._cores = cores or cores_of_each(nodes, self._wanted, self._gpus)

    def results(
        self, on_begin: Callable[[int], None], check: Callable[[Task, Result], None]
    ) -> Generator[tuple[int, Result | Lost], None, None]:
        while self._left:
            self._start_workers()
            self._hand_out(on_begin)
            busy = {worker.call: worker for worker in self.workers if worker.call is not None}
            if not busy:
                time.sleep(_LOOK_SECONDS)
            for call in self._ray.wait([*busy], timeout=_LOOK_SECONDS)[0] if busy else ():
                # One that was on the same node as another that failed just now is gone.
                answer = self._answer(busy[call], check) if busy[call] in self.workers else None
                if answer is not None:
                    self._left -= 1
                    # First: what is done with the answer may take as long as a write to the disk.
                    self._hand_out(on_begin)
                    yield answer
            self._refuse_to_wait_for_ever()
        # They are killed next, and would leave behind what they hold on disk, such as copies of videos.
        ending = [worker.actor.end.remote() for worker in self.workers if worker.is_ready]
        self._ray.wait(ending, num_returns=len(ending), timeout=_END_SECONDS)

    def _nodes(self) -> list[Node]:
        """Return the nodes that live, compute and may be used."""
        nodes = self._ray.nodes()
        return [node for node in nodes if node["Alive"] and node["NodeID"] not in self._refused and _cores_of(node)]

    def _start_workers(self) -> None:
        """Have as many workers as are wanted, or as the cluster holds now, but no more than there are tasks."""
        nodes = self._nodes()
        # One at least is asked for where there is no room at all: a cluster may grow for it.
        wanted = (self._wanted or max(1, room_for(nodes, self._cores, self._gpus))) - self._given_up
        options = {"num_cpus": self._cores, "num_gpus": self._gpus, "scheduling_strategy": "SPREAD"}
        if self._refused:
            options["label_selector"] = {"ray.io/node-id": f"!in({','.join(self._refused)})"}
        for _ in range(min(wanted, self._left) - len(self.workers)):
            actor = self._actor.options(**options).remote()
            self.workers.append(_Worker(actor, actor.where.remote()))

    def _hand_out(self, on_begin: Callable[[int], None]) -> None:
        """Give each worker that has nothing to do a task, while there are any."""
        for worker in [worker for worker in self.workers if worker.call is None]:
            place = self._again.popleft() if self._again else next(self._new, None)
            if place is not None:
                if not self._attempts[place]:
                    on_begin(place)
                self._attempts[place] += 1
                worker.task, worker.call = place, worker.actor.work.remote(self._tasks[place])

    def _answer(self, worker: _Worker, check: Callable[[Task, Result], None]) -> tuple[int, Result | Lost] | None:
        """Take in what a worker's call gave; return its task's place and result, if it had one and it is done."""
        from ray.exceptions import RayError, RayTaskError

        try:
            kind, content = self._ray.get(worker.call)
        except RayTaskError:
            raise
        except RayError as error:
            return self._bury(worker, error)
        place = worker.task
        if kind == "where":
            worker.at = _Place(*content)
            worker.call = worker.actor.begin.remote(self._begin, self._cores, __version__)
            return None
        try:
            if kind == "failed":
                raise content if isinstance(content, EssentialError) else ProcessGroupError(content)
            if place is not None:
                check(self._tasks[place], content)
        except EssentialError as error:
            self._refuse_node(worker, error)
            return None
        worker.is_ready, worker.call, worker.task = True, None, None
        self._stillborn = 0
        return None if place is None else (place, content)

    def _bury(self, worker: _Worker, error: Exception) -> tuple[int, Lost] | None:
        """Take a dead worker out; its task is begun again, or is lost."""
        how = " ".join(next(iter(str(error).splitlines()), "").split()).rstrip(".")
        place = worker.task
        self._end(worker)
        if not worker.is_ready:
            self._stillborn += 1
            if self._stillborn == _STILLBORN:
                self._give_up_one(how)
        elif place is not None:
            self._progress.say(f"a worker on {_host(worker)} died; its task is begun again")
            if self._attempts[place] == _ATTEMPTS:
                self._again.remove(place)
                return place, Lost(f"the worker that did it died ({how}), and so did {_ATTEMPTS - 1} before")
        return None

    def _end(self, worker: _Worker) -> None:
        """Take a worker out, dead or not; its task, if it had one, is to be begun again."""
        self.workers.remove(worker)
        self._ray.kill(worker.actor)
        if worker.task is not None:
            self._again.appendleft(worker.task)

    def _give_up_one(self, how: str) -> None:
        self._stillborn = 0
        if not any(worker.is_ready for worker in self.workers):
            raise ProcessGroupError(
                f"{_STILLBORN} workers in a row died before they could begin ({how})",
                remedy="check the memory of the cluster's machines, and their logs in /tmp/ray/session_latest/logs",
            )
        self._given_up += 1
        self._progress.say(f"workers die before they can begin ({how}); one less is used")

    def _refuse_node(self, worker: _Worker, error: EssentialError) -> None:
        """Use a node no more; raise its error if there is no other, or if it has stopped a task on three."""
        at, place = worker.at, worker.task
        assert at is not None, "it was asked first of all"
        where = f"node {at.host}" if error.where is None else f"node {at.host}: {error.where}"
        told = self._refused[at.node] = type(error)(error.problem, where=where, remedy=error.remedy)
        # With those that wait for a node, as they might be given this one.
        for each in [each for each in self.workers if each.at is None or each.at.node == at.node]:
            if each is not worker and each.task is not None:
                self._attempts[each.task] -= 1
            self._end(each)
        if not room_for(self._nodes(), self._cores, self._gpus) or (
            place is not None and self._attempts[place] == _ATTEMPTS
        ):
            raise told
        self._progress.say(f"{told}; this node gets no more tasks")

    def _refuse_to_wait_for_ever(self) -> None:
        if any(worker.at for worker in self.workers):
            self._last_placed = time.monotonic()
            return
        waited = time.monotonic() - self._last_placed
        cores = "a free CPU core" if self._cores == 1 else f"{self._cores} free CPU cores"
        room = f"a node with {cores}" + " and a free GPU" * self._gpus
        if waited > _PATIENCE_SECONDS:
            raise ProcessGroupError(
                f"there was no room for a worker for {waited:.0f} seconds: the Ray cluster has not got {room}",
                remedy="see `ray status`; end what else runs there, or give more --workers, of fewer cores each",
            )
        if waited > _SAY_SECONDS:
            self._progress.say(f"waiting for {room}")


def cores_of_each(nodes: Sequence[Node], workers: int | None, gpus: int) -> int:
    """Return how many cores each worker has: as many as let so many run at once, or one on each GPU or node."""
    wanted = workers or sum(_gpus_of(node) if gpus else 1 for node in nodes)
    most = max(map(_cores_of, nodes), default=1)
    return next((cores for cores in range(most, 1, -1) if room_for(nodes, cores, gpus) >= wanted), 1)


def room_for(nodes: Sequence[Node], cores: int, gpus: int) -> int:
    """Return how many workers the nodes hold together, each with so many cores and, if `gpus`, a GPU."""
    return sum(min(_cores_of(node) // cores, _gpus_of(node) if gpus else _cores_of(node)) for node in nodes)


def _host(worker: _Worker) -> str:
    return "a node" if worker.at is None else worker.at.host


def _cores_of(node: Node) -> int:
    return int(node["Resources"].get("CPU", 0))


def _gpus_of(node: Node) -> int:
    return int(node["Resources"].get("GPU", 0))


def _actor_class() -> type:
    """Return the class of a worker. Ray sends it itself, so that a node without this package can say so."""

    class Worker:
        def where(self) -> tuple[str, Any]:
            import socket

            import ray

            return "where", (ray.get_runtime_context().get_node_id(), socket.gethostname())

        def begin(self, begin: bytes, cores: int, version: str) -> tuple[str, Any]:
            import os

            # Before torch is loaded, as they decide its threads; see `cli.main`.
            os.environ["ESSENTIAL_CORES"] = str(cores)
            os.environ.setdefault("OMP_WAIT_POLICY", "passive")
            try:
                from essential.engine.ray_pool import attempt, begun
            except ImportError as error:
                return "failed", f"it does not have essential {version} ({error})"
            self.attempt = attempt
            kind, self.do = attempt(begun, begin, version)
            return kind, self.do if kind == "failed" else None

        def work(self, task: Any) -> tuple[str, Any]:
            result: tuple[str, Any] = self.attempt(self.do, task)
            return result

        def end(self) -> None:
            del self.do

    return Worker


def begun(begin: bytes, version: str) -> Callable[[Any], Any]:
    """Return what does a task on this node; an EssentialError if it has another version than who asks."""
    import pickle

    if __version__ != version:
        raise ProcessGroupError(
            f"it has essential {__version__}, and the command runs {version}",
            remedy=f"install essential-video=={version} on all machines of the cluster",
        )
    # Sent by the command itself over Ray, which sends all that it calls in this form; never from a file.
    work: Callable[[Any], Any] = pickle.loads(begin)()
    return work


def attempt(do: Callable[..., Any], *arguments: Any) -> tuple[str, Any]:
    """Return ("done", what `do` gives), or ("failed", an EssentialError) if this machine stands in its way."""
    try:
        return "done", do(*arguments)
    except EssentialError as error:
        return "failed", error
    except (OSError, MemoryError, ImportError) as error:
        return "failed", ProcessGroupError(f"{type(error).__name__}: {error}".rstrip(": "))
