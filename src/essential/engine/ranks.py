"""A group of processes that `torchrun` started: torch.distributed, gloo between CPUs and nccl between GPUs.

What is said apart from gradients is arrays and JSON, as bytes; nothing is pickled. A rank that dies closes its
connections, and the others learn of it from whatever they say next.
"""

import datetime
import hashlib
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

# Ranks wait this long for one that works alone or has more to extract. A dead one is noticed at once, by its closed
# connections; only one that hangs takes so long.
_PATIENCE = datetime.timedelta(hours=6)
_NOTE = "note"
_ARRAY = "array."
_FAILED = 2


@contextmanager
def open_process_group() -> Iterator[ProcessGroup]:
    """Be the rank that `torchrun` says in the environment, or a group of one if it says nothing.

    An error that ends several ranks is told once: by the first to meet it. The others end without a word.

    Raises:
        ProcessGroupError: the ranks cannot reach each other, or another one ended.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or "RANK" not in os.environ:
        yield SingleProcess()
        return
    gpus, here = torch.cuda.device_count(), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if gpus:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % gpus)
    # nccl takes no two ranks on one GPU; gloo does.
    backend = "cpu:gloo,cuda:nccl" if gpus >= here else "gloo"
    try:
        dist.init_process_group(backend, timeout=_PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise ProcessGroupError(
            f"rank {os.environ['RANK']} cannot reach the other ranks ({error}); start all of them with torchrun, and "
            "see docs/clusters.md"
        ) from error
    ranks = Ranks()
    # Only a main thread may be told by a signal.
    set_signal = signal if threading.current_thread() is threading.main_thread() else lambda *_: None
    before = set_signal(SIGTERM, _end)
    try:
        yield ranks
    except BaseException as error:
        # Told to end, this rank ends; but not before it has said why.
        set_signal(SIGTERM, SIG_IGN)
        first = ranks.is_first_to_fail()
        # torchrun may tell this rank to end before it has noticed that another one died.
        told_to_end = isinstance(error, SystemExit)
        gone = ranks.gone() if told_to_end else None
        if not first or (told_to_end and gone is None):
            raise SystemExit(_FAILED) from error
        if gone is not None:
            raise _lost(gone) from error
        raise
    # There is none to put back where the handler before was not set by Python.
    set_signal(SIGTERM, before or SIG_DFL)
    # Not after an error: the others may be in the middle of a sentence, and the end of the process is the end of it.
    dist.destroy_process_group()


class Ranks(ProcessGroup):
    """The ranks of the process group, seen from one of them."""

    def __init__(self) -> None:
        super().__init__(dist.get_rank(), dist.get_world_size())
        self._store = dist.distributed_c10d._get_default_store()
        self._store.set(f"essential/process {self.rank}", json.dumps([socket.gethostname(), os.getpid()]))

    def total(self, values: Tensor) -> Tensor:
        """Return the sum."""
        result = values.detach().clone()
        with self._listening():
            dist.all_reduce(result)
        return result

    def share(self, message: Message) -> Message:
        """Return what rank 0 gives."""
        content = _packed(message) if self.first else b""
        head = torch.zeros(1 + hashlib.sha256().digest_size, dtype=torch.long)
        if self.first:
            head = torch.tensor([len(content), *hashlib.sha256(content).digest()])
        with self._listening():
            dist.broadcast(head, 0)
            body = _tensor(content) if self.first else torch.empty(int(head[0]), dtype=torch.uint8)
            dist.broadcast(body, 0)
        if self.first:
            return message
        content = body.numpy().tobytes()
        if list(hashlib.sha256(content).digest()) != head[1:].tolist():
            raise ProcessGroupError(
                f"rank {self.rank} received something else than rank 0 sent (SHA-256 differs); look after the network, "
                "and run the same command again with --resume"
            )
        return _unpacked(content)

    def gather(self, message: Message) -> list[Message]:
        """Return what all ranks give."""
        content = _packed(message)
        lengths = [torch.zeros(1, dtype=torch.long) for _ in range(self.size)]
        with self._listening():
            dist.all_gather(lengths, torch.tensor([len(content)]))
            longest = max(int(length) for length in lengths)
            bodies = [torch.empty(longest, dtype=torch.uint8) for _ in range(self.size)]
            dist.all_gather(bodies, _tensor(content.ljust(longest, b"\0")))
        return [_unpacked(body[: int(length)].numpy().tobytes()) for body, length in zip(bodies, lengths, strict=True)]

    def is_first_to_fail(self) -> bool:
        """Return whether no rank has said so yet; asked once per rank, before its error is shown."""
        try:
            return bool(self._store.add("essential/failed", 1) == 1)
        except RuntimeError:  # who kept the store is gone
            return True

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Turn torch's complaint about a broken connection into an error that names who is gone."""
        try:
            yield
        except RuntimeError as error:
            raise _lost(self._who_is_gone()) from error

    def _who_is_gone(self) -> str:
        for _ in range(5):
            gone = self.gone()
            if gone is not None:
                return gone
            time.sleep(0.01)
        return f"a rank other than {self.rank}"

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


def _end(*_: object) -> NoReturn:
    raise SystemExit(_FAILED)


def _lost(rank: str) -> ProcessGroupError:
    return ProcessGroupError(
        f"{rank} ended before its time (killed, or out of memory?), and with it the run. What is finished is kept: run "
        "the same command again (train: with --resume)"
    )


def _runs(process: int) -> bool:
    """Return whether a process of this machine runs; one that is dead and not yet buried does not."""
    try:
        os.kill(process, 0)
        status = Path(f"/proc/{process}/stat")
        return not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def _packed(message: Message) -> bytes:
    arrays = {_ARRAY + name: np.asarray(array, order="C") for name, array in message.arrays.items()}
    note = np.frombuffer(json.dumps(message.note).encode(), np.uint8)
    return save({_NOTE: note, **arrays})


def _unpacked(content: bytes) -> Message:
    arrays = load(content)
    note = json.loads(arrays.pop(_NOTE).tobytes())
    return Message({name.removeprefix(_ARRAY): array for name, array in arrays.items()}, note)


def _tensor(content: bytes) -> Tensor:
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)
