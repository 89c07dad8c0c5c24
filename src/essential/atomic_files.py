"""Files that appear whole or not at all, and a lock that dies with its process.

Write to a temporary name in the same folder, flush to the disk, rename. A reader sees the old content or
the new one, never a part, whatever moment the writer is killed at.
"""

import errno
import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from essential.errors import FileSystemError, InUseError

_REASONS = {
    errno.ENOSPC: "the disk is full; free some space and run the same command again",
    errno.EDQUOT: "the disk quota is used up; free some space and run the same command again",
    errno.EROFS: "the file system is read-only; choose another folder",
    errno.EACCES: "permission denied; choose a folder you may write to",
    errno.EPERM: "permission denied; choose a folder you may write to",
    errno.ENOENT: "there is no such folder and it cannot be made; choose another folder",
    errno.EFBIG: "the file would be larger than this process may write (ulimit -f); raise the limit",
    errno.ENOTDIR: "a part of this path is a file, not a folder; choose another folder",
    errno.EEXIST: "a file of that name is in the way; choose another folder",
}


@contextmanager
def explained_os_errors(path: Path) -> Iterator[None]:
    """Turn an `OSError` into a `FileSystemError` that names `path` and says what to do."""
    try:
        yield
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, str(error))
        raise FileSystemError(f"cannot write {path}: {reason}") from error


def make_folder(path: Path) -> Path:
    """Create `path` and its parents if they are missing, and return it."""
    with explained_os_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` so that the file appears whole or not at all.

    Raises:
        FileSystemError: if the disk refuses; the old file, if any, is untouched.
    """
    make_folder(path.parent)
    with explained_os_errors(path):
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


def move_over(source: Path, target: Path) -> None:
    """Let the file `source`, in the same folder, take the place of `target`, also if the power fails right after.

    Raises:
        FileSystemError: the disk refuses; both files are as they were.
    """
    with explained_os_errors(target):
        source.replace(target)
        _sync_folder(target.parent)


def link_or_copy(source: Path, target: Path) -> None:
    """Give the file `source` a second name on the same disk, or copy it to another, so that it appears whole or not.

    Use it for files that are never written to again: both names may be one file.

    Raises:
        FileSystemError: the disk refuses, or `target` is there already.
    """
    make_folder(target.parent)
    with explained_os_errors(target):
        try:
            target.hardlink_to(source)
        except FileExistsError:
            raise
        except OSError:  # Another disk, or one without links.
            write_bytes(target, source.read_bytes())
        _sync_folder(target.parent)


def write_text(path: Path, content: str) -> None:
    """Write UTF-8 text; see `write_bytes`."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> None:
    """Write indented JSON with a final newline; refuses NaN and infinities. See `write_bytes`."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def sha256_of_file(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file's content, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def sha256_of_json(content: Any) -> str:
    """Return the hexadecimal SHA-256 of the canonical JSON of `content` (sorted keys, no spaces)."""
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def canonical_json(content: Any) -> str:
    """Return JSON of which there is one form: sorted keys, no spaces."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


# A forked worker shares the open file, and with it the lock, until it ends; it must not outlive its parent's lock.
_held_locks: set[int] = set()


def _drop_locks_in_child() -> None:
    for handle in _held_locks:
        os.close(handle)
    _held_locks.clear()


os.register_at_fork(after_in_child=_drop_locks_in_child)


@contextmanager
def folder_lock(folder: Path, *, name: str = ".lock", wait: bool = False) -> Iterator[None]:
    """Hold `folder` for this process. The system drops the lock when the process ends, however it ends.

    Args:
        folder: made if it is missing.
        name: the lock's file; locks of different names do not exclude each other.
        wait: wait for the holder to end instead of raising.

    Raises:
        InUseError: if another process holds it.
    """
    make_folder(folder)
    with _lock(folder / name, held=folder, kind="folder", wait=wait):
        yield


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold the file `path` for this process while it is read, changed and written again; see `folder_lock`.

    Args:
        path: may be missing, as its folder may.

    Raises:
        InUseError: if another process holds it.
    """
    # A link and the file that it leads to are one.
    path = Path(os.path.realpath(path))
    make_folder(path.parent)
    with _lock(path.parent / f".{path.name}.lock", held=path, kind="file", wait=False):
        yield


@contextmanager
def _lock(path: Path, *, held: Path, kind: str, wait: bool) -> Iterator[None]:
    with explained_os_errors(path):
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    _held_locks.add(handle)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(handle, 32, 0).decode().strip() or "unknown"
            message = f"{held} is in use by process {holder}; wait for it to end, or choose another {kind}"
            raise InUseError(message) from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        if handle in _held_locks:
            _held_locks.remove(handle)
            os.close(handle)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
