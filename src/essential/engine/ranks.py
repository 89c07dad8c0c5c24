"""A group of processes that `torchrun` started: torch.distributed, gloo between CPUs and nccl between GPUs.

Messages are sent as bytes of safetensors; nothing is pickled. A rank that dies closes its connections, so the others
notice at their next call.
"""

import datetime
import hashlib
import importlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIG_DFL, SIG_IGN, SIGTERM, signal
from typing import NoReturn

import numpy as np
import torch
import torch.distributed as dist
from safetensors.numpy import load, save
from torch import Tensor

from essential.engine.process_group import Message, ProcessGroup, SingleProcess
from essential.errors import ProcessGroupError

# How long ranks wait for one that works alone or has more to extract. A dead one is noticed at once, by its closed
# connections; one that hangs only after this.
_PATIENCE = datetime.timedelta(hours=6)
_NOTE = "note"
_ARRAY = "array."
_FAILED = 2


@contextmanager
def open_process_group() -> Iterator[ProcessGroup]:
    """Give the process group that `torchrun` describes in the environment; without one, a group of one.

    An error that ends several ranks is raised by the first to meet it; the others exit silently.

    Raises:
        ProcessGroupError: the ranks cannot reach each other, or another one ended.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or "RANK" not in os.environ:
        yield SingleProcess()
        return
    _import_before_group()
    gpus, here = torch.cuda.device_count(), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if gpus:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % gpus)
    # nccl takes no two ranks on one GPU; gloo does.
    backend = "cpu:gloo,cuda:nccl" if gpus >= here else "gloo"
    try:
        dist.init_process_group(backend, timeout=_PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise ProcessGroupError(
            f"rank {os.environ['RANK']} cannot reach the other ranks ({error})",
            remedy="start all of them with torchrun, and see docs/clusters.md",
        ) from error
    ranks = Ranks()
    # Signal handlers can be set in the main thread alone.
    set_signal = signal if threading.current_thread() is threading.main_thread() else lambda *_: None
    before = set_signal(SIGTERM, _end)
    try:
        yield ranks
    except BaseException as error:
        # A second SIGTERM must not end this rank before it has raised its error.
        set_signal(SIGTERM, SIG_IGN)
        first = ranks.is_first_to_fail()
        # torchrun may send SIGTERM before this rank has noticed that another one died.
        terminated = isinstance(error, SystemExit)
        gone = ranks.gone() if terminated else None
        if not first or (terminated and gone is None):
            raise SystemExit(_FAILED) from error
        if gone is not None:
            raise _lost(gone) from error
        raise
    # A handler that was not set by Python cannot be restored.
    set_signal(SIGTERM, before or SIG_DFL)
    # Not after an error: the others may wait for a message that this rank never finished.
    dist.destroy_process_group()


class Ranks(ProcessGroup):
    """The ranks of the process group, seen from one of them."""

    def __init__(self) -> None:
        super().__init__(dist.get_rank(), dist.get_world_size())
        self._store = dist.distributed_c10d._get_default_store()
        self._store.set(f"essential/process {self.rank}", json.dumps([socket.gethostname(), os.getpid()]))

    def all_reduce(self, values: Tensor) -> Tensor:
        result = values.detach().clone()
        with self._connected():
            dist.all_reduce(result)
        return result

    def broadcast(self, message: Message) -> Message:
        content = _packed(message) if self.first else b""
        head = torch.zeros(1 + hashlib.sha256().digest_size, dtype=torch.long)
        if self.first:
            head = torch.tensor([len(content), *hashlib.sha256(content).digest()])
        with self._connected():
            dist.broadcast(head, 0)
            body = _tensor(content) if self.first else torch.empty(int(head[0]), dtype=torch.uint8)
            dist.broadcast(body, 0)
        if self.first:
            return message
        content = body.numpy().tobytes()
        if list(hashlib.sha256(content).digest()) != head[1:].tolist():
            raise ProcessGroupError(
                f"rank {self.rank} received something else than rank 0 sent (SHA-256 differs)",
                remedy="check the network, and run the same command again with --resume",
            )
        return _unpacked(content)

    def all_gather(self, message: Message) -> list[Message]:
        content = _packed(message)
        lengths = [torch.zeros(1, dtype=torch.long) for _ in range(self.size)]
        with self._connected():
            dist.all_gather(lengths, torch.tensor([len(content)]))
            longest = int(max(lengths))
            bodies = [torch.empty(longest, dtype=torch.uint8) for _ in range(self.size)]
            dist.all_gather(bodies, _tensor(content.ljust(longest, b"\0")))
        return [_unpacked(body[: int(length)].numpy().tobytes()) for body, length in zip(bodies, lengths, strict=True)]

    def is_first_to_fail(self) -> bool:
        """Return whether no other rank has failed before; asked once per rank, before its error is raised."""
        try:
            return bool(self._store.add("essential/failed", 1) == 1)
        except RuntimeError:  # rank 0, which held the store, is gone
            return True

    @contextmanager
    def _connected(self) -> Iterator[None]:
        """Turn torch's error about a closed connection into one that names the rank that is gone."""
        try:
            yield
        except RuntimeError as error:
            gone = self.gone()
            for _ in range(4):
                if gone is None:
                    time.sleep(0.01)
                    gone = self.gone()
            raise _lost(gone or f"a rank other than {self.rank}") from error

    def gone(self) -> str | None:
        """Return which rank on this machine is dead; None if all run."""
        for rank in range(self.size):
            try:
                host, process = json.loads(self._store.get(f"essential/process {rank}"))
            except (RuntimeError, ValueError):
                return "rank 0"
            if host == socket.gethostname() and not _runs(process):
                return f"rank {rank} (process {process})"
        return None


def _import_before_group() -> None:
    """Import what takes the group of its moment as a default argument, and then keeps it alive to the exit.

    The first step of an optimizer imports it. A group that is alive at the exit has threads, and a thread that needs
    the interpreter after its end aborts the process, which has finished its work by then.
    """
    importlib.import_module("torch.distributed.nn.functional")


def _end(*_: object) -> NoReturn:
    raise SystemExit(_FAILED)


def _lost(rank: str) -> ProcessGroupError:
    return ProcessGroupError(
        f"{rank} ended early (killed, or out of memory?), and with it the run; what is finished is kept",
        remedy="run the same command again (train: with --resume)",
    )


def _runs(process: int) -> bool:
    """Return whether a process of this machine runs; a zombie process does not."""
    try:
        os.kill(process, 0)
        status = Path(f"/proc/{process}/stat")
        return not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def _packed(message: Message) -> bytes:
    arrays = {_ARRAY + name: np.asarray(array, order="C") for name, array in message.arrays.items()}
    return save({_NOTE: np.frombuffer(json.dumps(message.note).encode(), np.uint8), **arrays})


def _unpacked(content: bytes) -> Message:
    arrays = load(content)
    note = json.loads(arrays.pop(_NOTE).tobytes())
    return Message({name.removeprefix(_ARRAY): array for name, array in arrays.items()}, note)


def _tensor(content: bytes) -> Tensor:
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)
