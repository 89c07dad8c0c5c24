"""Files of a storage on this machine while they are read: decoders open a path, and every byte is hashed anyway.

A copy is a temporary file (TMPDIR says where). It is locked while its process lives; what killed processes left is
removed when the next work in processes ends, see `remove_leftovers`.
"""

import os
import re
import tempfile
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from essential.errors import DataError
from essential.files.atomic import locked_temporary, remove_unlocked
from essential.remote.access import copy_whole, no_room, status_of, write_block
from essential.remote.storage import is_remote
from essential.remote.tar_shards import copy_member, is_member, member_size, shard_with

_PREFIX = "essential-copy-"
# It says to FFmpeg what some files are.
_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,16}")


class _Copy:
    """A temporary file, removed with the last reference to it, in the process that made it."""

    def __init__(self, file: str) -> None:
        self.file, self.process = file, os.getpid()
        suffix = PurePosixPath(file).suffix
        try:
            handle, self.path = locked_temporary(
                Path(tempfile.gettempdir()), prefix=_PREFIX, suffix=suffix if _EXTENSION.fullmatch(suffix) else ""
            )
        except OSError as error:
            raise no_room(error) from error
        self._opened = os.fdopen(handle, "wb")  # holds the lock
        remove = weakref.finalize(self, _remove, self.path, self._opened, self.process)
        try:
            (copy_member if is_member(file) else copy_whole)(file, self._opened)
            write_block(self._opened, b"", last=True)
        except BaseException:
            remove()  # now: the error holds references, for as long as anyone holds it
            raise


# Files that a process fetches at once while it reads another.
AHEAD = 4
# The last copy of each thread that was to be kept.
_kept = threading.local()
# What `fetch_ahead` began, by file.
_coming: dict[str, Future[_Copy]] = {}


@contextmanager
def local_copy(file: str, *, keep: bool = False) -> Iterator[Path]:
    """Give the path of a video on this machine: a plain path as it is, else that of a copy, whole, for the time.

    Args:
        file: a path, or a storage's locator.
        keep: keep the copy until the next one: the segments of one file are read one after the other.

    Raises:
        FileNotFoundError: there is no such file or object.
        DataError: it cannot be fetched, it ends early, access is refused, or there is no room for the copy.
    """
    if not is_remote(file):
        yield Path(file)
        return
    copy = _kept_copy(file)
    if copy is None:
        _kept.copy = None  # the old one goes first
        coming = _coming.pop(file, None)
        copy = _copied(file) if coming is None else coming.result()
    _kept.copy = copy if keep else None
    yield copy.path


def fetch_ahead(file: str) -> None:
    """Begin to fetch a file that this thread will read by `local_copy`, unless it is here.

    `local_copy` raises the errors. A copy that is never asked for is kept until the process ends.
    """
    if is_remote(file) and file not in _coming and _kept_copy(file) is None:
        with suppress(RuntimeError):  # no thread can be started: it is fetched when it is read
            _coming[file] = _fetching().submit(_copied, file)


def file_here(file: str) -> str | None:
    """Return what is opened on this machine for a `Video.file`: it, or its tar shard; None: it is not there."""
    opened = shard_with(file) if is_member(file) else file
    return opened if opened is not None and os.path.exists(opened) else None  # noqa: PTH110


def is_far(file: str) -> bool:
    """Return whether whoever reads a `Video.file` waits for a server."""
    return is_remote(file.partition("@")[2] if is_member(file) else file)


def remote_size(file: str) -> int | None:
    """Return the bytes of the file that a locator names, None where the server does not say; errors as above."""
    return member_size(file) if is_member(file) else status_of(file).size_bytes


def remove_leftovers() -> None:
    """Remove the copies of processes that have ended."""
    remove_unlocked(Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"))


@cache
def _fetching() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(AHEAD)


def _kept_copy(file: str) -> _Copy | None:
    copy: _Copy | None = getattr(_kept, "copy", None)
    # A forked process has its parent's copies too, for as long as the parent keeps them.
    return copy if copy is not None and copy.file == file and copy.process == os.getpid() else None


def _copied(file: str) -> _Copy:
    try:
        return _Copy(file)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DataError(
            f"it cannot be read ({error.strerror})", where=file, remedy="check the disk, and run again"
        ) from None


def _remove(path: Path, opened: BinaryIO, process: int) -> None:
    if os.getpid() == process:
        path.unlink(missing_ok=True)
    opened.close()
